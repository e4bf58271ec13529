using TorchSharp;
using Titan.Abstractions;
using Titan.Distributed.Collectives;
using Titan.Distributed.Mpi;
using static TorchSharp.torch;

namespace Titan.Distributed.Worker;

/// <summary>Every verb against values that each rank computes by itself.</summary>
internal static class VerbScenarios
{
    /// <summary>Zero, one, odd, beyond the small slice, beyond one piece of a reduce-scatter (of 8-byte types).</summary>
    private static readonly long[] Sizes = [0, 1, 3, 17, 1023, 20_001, 150_007];

    private static readonly ScalarType[] Moved =
    [
        ScalarType.Float32, ScalarType.Float64, ScalarType.BFloat16, ScalarType.Int32, ScalarType.Int64, ScalarType.Byte, ScalarType.Bool,
        Float8Format.E4M3.Type, Float8Format.E5M2.Type, Float8Format.E8M0.Type,
    ];

    private static readonly ScalarType[] Reduced = [ScalarType.Float32, ScalarType.Float64, ScalarType.Int32, ScalarType.Int64];

    public static void AgainstTheOracle(DistributedRuntime runtime, string[] arguments)
    {
        var group = runtime.WorldGroup;
        foreach (var size in Sizes)
        {
            foreach (var type in Moved) Move(group, size, type);
            foreach (var type in Reduced) Reduce(group, size, type);
        }

        group.Barrier();
    }

    /// <summary>As messages beyond 2 GiB travel, at a limit that does not need them.</summary>
    public static void InPieces(DistributedRuntime runtime, string[] arguments)
    {
        var limit = MpiLibrary.LargestMessage;
        MpiLibrary.LargestMessage = 100_000;
        foreach (var type in new[] { ScalarType.Float64, Float8Format.E4M3.Type }) Move(runtime.WorldGroup, 300_007, type);
        foreach (var type in Reduced) Reduce(runtime.WorldGroup, 300_007, type);
        runtime.WorldGroup.Barrier();
        MpiLibrary.LargestMessage = limit;
    }

    /// <summary>Large and small collectives, started together and waited for in the opposite order.</summary>
    public static void AsynchronousOrder(DistributedRuntime runtime, string[] arguments)
    {
        using var scope = NewDisposeScope();
        var group = runtime.WorldGroup;
        var works = new List<(IWork Work, Action Check)>();
        for (var i = 0; i < 40; i++)
        {
            var (number, n) = (i, i % 3 == 0 ? 200_000L : 5);
            var input = full(n, group.Rank + 10 * i, dtype: ScalarType.Float32);
            var output = zeros(n * group.Size);
            works.Add((group.AllGatherIntoTensorAsync(output, input),
                () => Scenarios.Expect(Enumerable.Range(0, group.Size).All(r => output[(long)r * n].item<float>() == r + 10 * number), $"gather {number}")));
            var sum = full(n, i, dtype: ScalarType.Float32);
            works.Add((group.AllReduceAsync(sum, ReduceOperation.Sum), () => Scenarios.Expect(sum[n - 1].item<float>() == number * group.Size, $"sum {number}")));
        }

        works.Reverse();
        foreach (var (work, check) in works)
        {
            work.Wait();
            work.Wait();
            check();
        }
    }

    /// <summary>Values whose sum depends on the order: every run, and every rank, adds in rank order.</summary>
    public static void SumsInRankOrder(DistributedRuntime runtime, string[] arguments)
    {
        using var scope = NewDisposeScope();
        var group = runtime.WorldGroup;
        const long n = 100_003;
        var inputs = Enumerable.Range(0, group.Size).Select(r => Values(n * group.Size, ScalarType.Float32, 77, r) * Math.Pow(10, 4 * r)).ToArray();
        var expected = inputs[0];
        foreach (var next in inputs[1..]) expected = expected + next;
        for (var i = 0; i < 5; i++)
        {
            var output = zeros(n);
            group.ReduceScatterTensor(output, inputs[group.Rank]);
            Scenarios.Expect(output.equal(expected.narrow(0, group.Rank * n, n)).all().item<bool>(), "bits of the reduce-scatter");
            var all = inputs[group.Rank].clone();
            group.AllReduce(all, ReduceOperation.Sum);
            Scenarios.Expect(all.equal(expected).all().item<bool>(), "bits of the all-reduce");
        }
    }

    public static void NaNWins(DistributedRuntime runtime, string[] arguments)
    {
        using var scope = NewDisposeScope();
        var group = runtime.WorldGroup;
        foreach (var type in new[] { ScalarType.Float32, ScalarType.Float64 })
        foreach (var n in new[] { 3L, 37, 50_001 })
        foreach (var operation in new[] { ReduceOperation.Max, ReduceOperation.Min })
        {
            for (var culprit = 0; culprit < group.Size; culprit++)
            {
                var x = full(n, 1.0 + group.Rank, dtype: type);
                if (group.Rank == culprit) x[n - 2] = tensor(double.NaN, dtype: type);
                group.AllReduce(x, operation);
                var best = operation == ReduceOperation.Max ? group.Size : 1.0;
                Scenarios.Expect(x[n - 2].isnan().item<bool>(), $"NaN of rank {culprit} in {operation} of {n} {type}");
                Scenarios.Expect(x.isnan().sum().item<long>() == 1 && x[0].to(ScalarType.Float64).item<double>() == best, $"the other values in {operation} of {n} {type}");
            }
        }
    }

    /// <summary>bf16 is added in fp32 and rounded once.</summary>
    public static void BrainSums(DistributedRuntime runtime, string[] arguments)
    {
        using var scope = NewDisposeScope();
        var group = runtime.WorldGroup;
        foreach (var n in new[] { 1L, 31, 4099, 700_001 })
        {
            var inputs = Enumerable.Range(0, group.Size).Select(r => Values(n * group.Size, ScalarType.Float32, 5, r).to(ScalarType.BFloat16)).ToArray();
            inputs[^1][0] = tensor(float.NaN).to(ScalarType.BFloat16);
            var expected = inputs.Select(t => t.to(ScalarType.Float32)).Aggregate((a, b) => a + b).to(ScalarType.BFloat16).narrow(0, group.Rank * n, n);
            var output = zeros(n, dtype: ScalarType.BFloat16);
            group.ReduceScatterTensor(output, inputs[group.Rank]);
            Scenarios.Expect(output.allclose(expected, 0, 0, equal_nan: true), $"bf16 sum of {n}");
        }
    }

    /// <summary>A caller may let go of its tensors as soon as the collective is queued.</summary>
    public static void TensorsOutliveTheirHandles(DistributedRuntime runtime, string[] arguments)
    {
        using var scope = NewDisposeScope();
        var group = runtime.WorldGroup;
        var kept = zeros(400_000L * group.Size);
        for (var i = 0; i < 20; i++)
        {
            IWork work;
            using (NewDisposeScope()) work = group.AllGatherIntoTensorAsync(kept.view(-1), full(400_000, i + group.Rank, dtype: ScalarType.Float32));
            using (NewDisposeScope()) _ = full(400_000, -1f);
            work.Wait();
            for (var r = 0; r < group.Size; r++)
                Scenarios.Expect(kept.narrow(0, r * 400_000L, 400_000).eq(i + r).all().item<bool>(), $"gather {i} from rank {r}");
        }

        // Autograd sees that the values have changed.
        var leaf = ones(4, requires_grad: true);
        var weight = ones(4);
        var loss = (leaf * weight).sum();
        group.AllReduce(weight, ReduceOperation.Sum);
        var refused = false;
        try
        {
            loss.backward();
        }
        catch (Exception e) when (e.Message.Contains("inplace", StringComparison.Ordinal))
        {
            refused = true;
        }

        Scenarios.Expect(refused, "autograd refuses a saved tensor that a collective has changed");
    }

    public static void Refusals(DistributedRuntime runtime, string[] arguments)
    {
        using var scope = NewDisposeScope();
        var group = runtime.WorldGroup;
        Refused(() => group.AllGatherIntoTensor(zeros(3), zeros(3)), "all_gather_into_tensor in group 'world'", "[3] Float32");
        Refused(() => group.ReduceScatterTensor(zeros(3), zeros(3)), "reduce_scatter_tensor", "times the elements");
        Refused(() => group.AllGatherIntoTensor(zeros(group.Size), zeros(1, dtype: ScalarType.Int32)), "different types");
        Refused(() => group.AllReduce(zeros(4).to(Float8Format.E4M3.Type), ReduceOperation.Max), "Float8E4M3", "convert it first");
        Refused(() => group.AllReduce(zeros(4, 4).t(), ReduceOperation.Max), "not contiguous");
        Refused(() => group.ReduceScatterTensorCoalescedAsync([zeros(1), zeros(1, dtype: ScalarType.Int32)], [zeros(group.Size), zeros(group.Size, dtype: ScalarType.Int32)]), "another type");
        Refused(() => group.AllGatherIntoTensorCoalescedAsync([zeros(group.Size)], []), "1 outputs for 0 inputs");
        Refused(() => group.AllToAllSingle(zeros(group.Size + 1), zeros(group.Size + 1)), "equal slices");
        Refused(() => group.Broadcast(zeros(1), group.Size), "expected a rank of the group");
        Refused(() => group.AllReduce(zeros(4, device: META), ReduceOperation.Sum), "meta", "cpu");
        group.Barrier();
    }

    public static void Refused(Action action, params string[] words)
    {
        try
        {
            action();
        }
        catch (ArgumentException e)
        {
            foreach (var word in words) Scenarios.Expect(e.Message.Contains(word, StringComparison.Ordinal), $"'{word}' in '{e.Message}'");
            return;
        }

        throw new InvalidOperationException($"not refused: {string.Join(", ", words)}");
    }

    /// <summary>Several tensors, of several types and sizes, by one call.</summary>
    public static void Coalesced(DistributedRuntime runtime, string[] arguments)
    {
        var (group, ranks) = (runtime.WorldGroup, runtime.World);
        foreach (var sizes in new long[][] { [], [3], [0, 5, 1023], [17, 150_007, 1, 20_001, 64] })
        {
            using var scope = NewDisposeScope();
            var types = sizes.Select((_, i) => Moved[i * 3 % Moved.Length]).ToArray();
            var outputs = sizes.Select((n, i) => Empty(n * ranks, types[i])).ToList();
            runtime.Counter.Take();
            group.AllGatherIntoTensorCoalescedAsync(outputs, [.. sizes.Select((n, i) => Values(n, types[i], i, group.Rank))]).Wait();
            Scenarios.Expect(runtime.Counter.Take().Counts.Single() is { Calls: 1 } c && c.PayloadBytes == outputs.Sum(o => o.numel() * o.element_size()), "one call, all bytes");
            for (var i = 0; i < sizes.Length; i++)
                Same(outputs[i], cat([.. Enumerable.Range(0, ranks).Select(r => AsBytes(Values(sizes[i], types[i], i, r)))]), $"part {i} of {sizes.Length} gathered");

            foreach (var type in Reduced)
            {
                var sums = sizes.Select(n => Empty(n, type)).ToList();
                group.ReduceScatterTensorCoalescedAsync(sums, [.. sizes.Select((n, i) => Values(n * ranks, type, i, group.Rank))]).Wait();
                for (var i = 0; i < sizes.Length; i++)
                {
                    var whole = Enumerable.Range(0, ranks).Select(r => Values(sizes[i] * ranks, type, i, r)).Aggregate((a, b) => a + b);
                    Same(sums[i], whole.narrow(0, group.Rank * sizes[i], sizes[i]), $"part {i} of {sizes.Length} scattered, {type}");
                }
            }
        }
    }

    private static void Move(IProcessGroup group, long n, ScalarType type)
    {
        using var scope = NewDisposeScope();
        var (rank, ranks) = (group.Rank, group.Size);
        var what = $"{n} {Quantities.Type(type)}";

        var gathered = Empty(n * ranks, type);
        group.AllGatherIntoTensor(gathered, Values(n, type, 1, rank));
        Same(gathered, cat([.. Enumerable.Range(0, ranks).Select(r => AsBytes(Values(n, type, 1, r)))]), $"all_gather of {what}");

        // In place: the input is this rank's slice of the output.
        var place = Empty(n * ranks, type);
        var mine = place.narrow(0, rank * n, n);
        mine.copy_(Values(n, type, 2, rank));
        group.AllGatherIntoTensor(place, mine);
        Same(place, cat([.. Enumerable.Range(0, ranks).Select(r => AsBytes(Values(n, type, 2, r)))]), $"all_gather in place of {what}");

        var exchanged = Empty(n * ranks, type);
        group.AllToAllSingle(exchanged, Values(n * ranks, type, 3, rank));
        Same(exchanged, cat([.. Enumerable.Range(0, ranks).Select(r => AsBytes(Values(n * ranks, type, 3, r).narrow(0, rank * n, n)))]), $"all_to_all of {what}");

        for (var source = 0; source < ranks; source++)
        {
            var x = Values(n, type, 4, rank);
            group.Broadcast(x, source);
            Same(x, AsBytes(Values(n, type, 4, source)), $"broadcast of {what} from {source}");
        }
    }

    private static void Reduce(IProcessGroup group, long n, ScalarType type)
    {
        using var scope = NewDisposeScope();
        var all = Enumerable.Range(0, group.Size).Select(r => Values(n * group.Size, type, 6, r)).ToArray();
        var scattered = Empty(n, type);
        group.ReduceScatterTensor(scattered, all[group.Rank]);
        Same(scattered, AsBytes(all.Aggregate((a, b) => a + b).narrow(0, group.Rank * n, n)), $"reduce_scatter of {n} {type}");

        foreach (var operation in Enum.GetValues<ReduceOperation>())
        {
            var inputs = all.Select(t => t.narrow(0, 0, n)).ToArray();
            var x = inputs[group.Rank].clone();
            group.AllReduce(x, operation);
            var expected = inputs.Aggregate((a, b) => operation switch { ReduceOperation.Sum => a + b, ReduceOperation.Max => maximum(a, b), _ => minimum(a, b) });
            Same(x, AsBytes(expected), $"all_reduce {operation} of {n} {type}");
        }
    }

    /// <summary>The same values on every rank that asks for the same rank's.</summary>
    private static Tensor Values(long n, ScalarType type, int salt, int rank)
    {
        var scrambled = (arange(n, dtype: ScalarType.Int64) * 7919 + (salt * 131 + rank * 31 + n)) % 1009;
        if (type == ScalarType.Bool) return (scrambled % 2).to(type);
        if (type == Float8Format.E8M0.Type) return pow(2.0, (scrambled % 40 - 20).to(ScalarType.Float32)).to(type);
        return type is ScalarType.Int32 or ScalarType.Int64 or ScalarType.Byte ? (scrambled % 100).to(type) : (scrambled.to(ScalarType.Float32) / 126.1 - 4).to(type);
    }

    private static Tensor Empty(long n, ScalarType type) => zeros(n).to(type);

    /// <summary>Float8 has no comparison: what is equal in fp32 is equal in 8 bits.</summary>
    private static Tensor AsBytes(Tensor tensor) => tensor.element_size() == 1 && tensor.dtype != ScalarType.Byte && tensor.dtype != ScalarType.Bool ? tensor.to(ScalarType.Float32) : tensor;

    private static void Same(Tensor actual, Tensor expected, string what) =>
        Scenarios.Expect(AsBytes(actual).equal(expected).all().item<bool>(), what);
}
