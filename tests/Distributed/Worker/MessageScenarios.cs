using Titan.Abstractions;
using Titan.Distributed.Collectives;
using Titan.Distributed.Mpi;
using static TorchSharp.torch;

namespace Titan.Distributed.Worker;

/// <summary>All-to-all with splits, and messages between pairs, against what each rank computes by itself.</summary>
internal static class MessageScenarios
{
    private static readonly ScalarType[] Types = [ScalarType.Float32, ScalarType.BFloat16, ScalarType.Int64, ScalarType.Bool, Float8Format.E4M3.Type];

    /// <summary>Splits drawn from a seed that all ranks have: with none, with a row, with many; rows of several shapes.</summary>
    public static void UnevenSplits(DistributedRuntime runtime, string[] arguments)
    {
        var group = runtime.WorldGroup;
        for (var seed = 0; seed < 60; seed++)
        {
            using var scope = NewDisposeScope();
            var random = new Random(seed);
            var type = Types[seed % Types.Length];
            long[][] shapes = [[], [1], [3], [5, 7], [0]];
            var row = shapes[random.Next(shapes.Length)];
            // rows[s][r]: from s to r.
            var most = new[] { 1, 4, 40, 3000 }[random.Next(4)];
            var rows = Enumerable.Range(0, group.Size).Select(_ => Enumerable.Range(0, group.Size).Select(_ => random.Next(3) == 0 ? 0L : random.Next(most + 1)).ToArray()).ToArray();
            if (seed % 7 == 0) rows[seed % group.Size] = new long[group.Size];
            var (rank, ranks) = (group.Rank, group.Size);
            long[] outputs = [.. rows.Select(r => r[rank])];
            var (output, input) = (Filled(outputs.Sum(), row, type, -1, 0), Input(rank));
            group.AllToAllSingle(output, input, outputs, rows[rank]);
            // The reference: every rank's input is known here, and is cut by plain indexing.
            var expected = cat([.. Enumerable.Range(0, ranks).Select(s => Wide(Input(s)).narrow(0, rows[s].Take(rank).Sum(), rows[s][rank]))]);
            Scenarios.Expect(Wide(output).equal(expected).all().item<bool>(), $"splits of seed {seed}, {type}");

            // The same by messages between pairs.
            var received = Enumerable.Range(0, ranks).Select(s => Filled(rows[s][rank], row, type, -1, 0)).ToList();
            group.BatchSendReceive(
            [
                .. Enumerable.Range(0, ranks).Select(r => PointToPoint.Send(input.narrow(0, rows[rank].Take(r).Sum(), rows[rank][r]).contiguous(), r, seed)),
                .. Enumerable.Range(0, ranks).Reverse().Select(s => PointToPoint.Receive(received[s], s, seed)),
            ]);
            Scenarios.Expect(cat([.. received.Select(Wide)]).equal(expected).all().item<bool>(), $"messages of seed {seed}, {type}");

            Tensor Input(int from) => Filled(rows[from].Sum(), row, type, seed, from);
        }

        // Equal splits give what no splits give.
        using var last = NewDisposeScope();
        var (all, even, uneven) = (Filled(4L * group.Size, [3], ScalarType.Float32, 5, group.Rank), zeros(4L * group.Size, 3), zeros(4L * group.Size, 3));
        group.AllToAllSingle(even, all);
        long[] four = [.. Enumerable.Repeat(4L, group.Size)];
        group.AllToAllSingle(uneven, all, four, four);
        Scenarios.Expect(even.equal(uneven).all().item<bool>(), "equal splits");
    }

    /// <summary>As messages beyond 2 GiB travel.</summary>
    public static void InPieces(DistributedRuntime runtime, string[] arguments)
    {
        var limit = MpiLibrary.LargestMessage;
        MpiLibrary.LargestMessage = 1000;
        UnevenSplits(runtime, arguments);
        Ring(runtime, arguments);
        runtime.WorldGroup.Barrier();
        MpiLibrary.LargestMessage = limit;
    }

    /// <summary>Every rank sends more than any buffer takes to its right and receives from its left; tags in opposite orders; collectives before, between, after.</summary>
    public static void Ring(DistributedRuntime runtime, string[] arguments)
    {
        var group = runtime.WorldGroup;
        int right = (group.Rank + 1) % group.Size, left = (group.Rank + group.Size - 1) % group.Size;
        var works = new List<(IWork Work, Action Check)>();
        using var scope = NewDisposeScope();
        for (var i = 0; i < 6; i++)
        {
            var (number, n) = (i, i % 2 == 0 ? 400_000L : 3);
            Tensor first = zeros(n), second = zeros(n, dtype: ScalarType.Int64);
            works.Add((group.BatchSendReceiveAsync(
            [
                PointToPoint.Send(full(n, 10f * i + group.Rank), right, 0), PointToPoint.Send(full(n, 1000L + group.Rank, dtype: ScalarType.Int64), right, PointToPoint.LargestTag),
                PointToPoint.Receive(second, left, PointToPoint.LargestTag), PointToPoint.Receive(first, left, 0),
            ]), () => Scenarios.Expect(first.eq(10f * number + left).all().item<bool>() && second.eq(1000 + left).all().item<bool>(), $"ring {number}")));
            var sum = ones(n);
            works.Add((group.AllReduceAsync(sum, ReduceOperation.Sum), () => Scenarios.Expect(sum[n - 1].item<float>() == group.Size, $"sum {number}")));
        }

        works.Reverse();
        foreach (var (work, check) in works)
        {
            work.Wait();
            check();
        }
    }

    /// <summary>The first rank sends to the last, twice, and gets an answer; what the others do in between is their own.</summary>
    public static void Pairs(DistributedRuntime runtime, string[] arguments)
    {
        using var scope = NewDisposeScope();
        var (group, last) = (runtime.WorldGroup, runtime.World - 1);
        for (var i = 0; i < 3; i++)
        {
            if (group.Rank == 0)
            {
                var answer = zeros(2, 2);
                group.Send(full(300_000, 5f + i), last, 1);
                var unread = group.SendAsync(full(2, 6f + i), last, 2);
                group.Receive(answer, last);
                unread.Wait();
                Scenarios.Expect(answer.eq(11 + 2 * i).all().item<bool>(), "the answer");
            }
            else if (group.Rank == last)
            {
                Tensor large = zeros(300_000), small = zeros(2);
                group.Receive(large, 0, 1);
                group.Receive(small, 0, 2);
                group.Send((large[0] + small[0]).expand(2, 2).contiguous(), 0);
            }

            group.Barrier();
        }
    }

    public static void Counts(DistributedRuntime runtime, string[] arguments)
    {
        using var scope = NewDisposeScope();
        var (group, n) = (runtime.WorldGroup, runtime.World);
        int right = (group.Rank + 1) % n, left = (group.Rank + n - 1) % n;
        runtime.Counter.Take();
        // Rank r sends r + 1 rows of 8 bytes to everybody, itself included.
        group.AllToAllSingle(zeros(n * (n + 1) / 2, 2), zeros(n * (group.Rank + 1L), 2), [.. Enumerable.Range(1, n).Select(r => (long)r)], [.. Enumerable.Repeat(group.Rank + 1L, n)]);
        group.BatchSendReceive([PointToPoint.Send(zeros(5), right), PointToPoint.Receive(zeros(5), left), PointToPoint.Send(zeros(3), group.Rank, 1), PointToPoint.Receive(zeros(3), group.Rank, 1)]);
        if (group.Rank == 0) group.Send(zeros(4), n - 1);
        if (group.Rank == n - 1) group.Receive(zeros(4), 0);
        var totals = runtime.Counter.Take().Counts;
        List<(string, long, long, long)> expected =
        [
            ("all_to_all_single", 1, 8L * n * (group.Rank + 1), 8L * (n - 1) * (group.Rank + 1)),
        ];
        if (group.Rank == 0) expected.Add(("send", 1, 16, 16));
        if (group.Rank == n - 1) expected.Add(("recv", 1, 16, 0));
        expected.Add(("batch_isend_irecv", 1, 32, 20));
        Scenarios.Expect(totals.Select(c => (c.Verb, c.Calls, c.PayloadBytes, c.WireBytes)).SequenceEqual(expected), string.Join("; ", totals));
        group.Barrier();
        runtime.Counter.Take();
    }

    public static void Refusals(DistributedRuntime runtime, string[] arguments)
    {
        using var scope = NewDisposeScope();
        var (group, n, me) = (runtime.WorldGroup, runtime.World, runtime.Rank);
        long[] ones = [.. Enumerable.Repeat(1L, n)];
        VerbScenarios.Refused(() => group.AllToAllSingle(zeros(n), zeros(n), ones, [.. ones[1..], 2]), "all_to_all_single in group 'world'", $"input splits", $"add up to {n + 1}", $"has {n} rows");
        VerbScenarios.Refused(() => group.AllToAllSingle(zeros(n + 1), zeros(n), ones, ones), $"output splits", $"add up to {n}, output [{n + 1}] Float32 has {n + 1} rows");
        VerbScenarios.Refused(() => group.AllToAllSingle(zeros(n), zeros(n), [.. ones, 0], ones), $"are {n + 1}; expected one for each of {n} ranks");
        VerbScenarios.Refused(() => group.AllToAllSingle(zeros(n), zeros(n), ones, [.. ones[2..], -1, 3]), "have a negative one");
        VerbScenarios.Refused(() => group.AllToAllSingle(zeros(n), zeros(n), ones, [.. ones[2..], long.MaxValue, long.MaxValue]), "add up to");
        VerbScenarios.Refused(() => group.AllToAllSingle(zeros(n, 2), zeros(n, 3), ones, ones), "rows of the same size");
        VerbScenarios.Refused(() => group.AllToAllSingle(zeros(n), zeros(n, dtype: ScalarType.Int32), ones, ones), "the same type");
        VerbScenarios.Refused(() => group.AllToAllSingle(zeros(n), zeros([]), ones, ones), "has no rows to split");
        VerbScenarios.Refused(() => group.AllToAllSingle(zeros(n, 2), zeros(2, n).t(), ones, ones), "not contiguous");
        VerbScenarios.Refused(() => group.Send(zeros(1), n), "send in group 'world'", $"expected a rank of the group, 0 to {n - 1}");
        VerbScenarios.Refused(() => group.Receive(zeros(1), -1), "recv in group 'world'", "expected a rank of the group");
        VerbScenarios.Refused(() => group.Send(zeros(1), 0, PointToPoint.LargestTag + 1), "expected 0 to 16000");
        VerbScenarios.Refused(() => group.Send(zeros(4, 4).t(), (me + 1) % n), "not contiguous");
        VerbScenarios.Refused(() => group.Receive(zeros(4, device: META), (me + 1) % n), "meta", "cpu");
        VerbScenarios.Refused(() => group.Send(zeros(4), me), $"rank {me} sends itself 4 Float32 with tag 0, and receives nothing", "one batch");
        VerbScenarios.Refused(() => group.BatchSendReceive([PointToPoint.Send(zeros(4), me), PointToPoint.Receive(zeros(5), me)]), "and receives 5 Float32");
        group.BatchSendReceive([]);
        group.Barrier();
    }

    /// <summary>The last rank expects another number of rows than rank 0 sends.</summary>
    public static void SplitsDiffer(DistributedRuntime runtime, string[] arguments)
    {
        var (n, me) = (runtime.World, runtime.Rank);
        long[] inputs = [.. Enumerable.Repeat(2L, n)], outputs = [.. inputs];
        if (me == n - 1) outputs[0] = 5;
        runtime.WorldGroup.AllToAllSingle(zeros(outputs.Sum(), 4), zeros(inputs.Sum(), 4), outputs, inputs);
    }

    public static void MessagesDiffer(DistributedRuntime runtime, string[] arguments)
    {
        if (runtime.Rank == 0) runtime.WorldGroup.Send(zeros(10), runtime.World - 1, 3);
        if (runtime.Rank == runtime.World - 1) runtime.WorldGroup.Receive(zeros(12), 0, 3);
        runtime.WorldGroup.Barrier();
    }

    /// <summary>Rank 0 waits for a message that the last rank does not send; the others wait in a barrier.</summary>
    public static void NobodySends(DistributedRuntime runtime, string[] arguments)
    {
        runtime.WorldGroup.Barrier();
        if (runtime.Rank == 0) runtime.WorldGroup.Receive(zeros(100), runtime.World - 1);
        Thread.Sleep(Timeout.Infinite);
    }

    private static Tensor Filled(long rows, long[] row, ScalarType type, int salt, int rank)
    {
        var shape = row.Prepend(rows).ToArray();
        var count = shape.Aggregate(1L, (a, b) => a * b);
        return salt < 0 ? zeros(shape).to(type) : ((arange(count, dtype: ScalarType.Int64) * 7919 + (salt * 131 + rank * 31)) % (type == ScalarType.Bool ? 2 : 100)).reshape(shape).to(type);
    }

    /// <summary>Float8 cannot be concatenated or compared; each of its values is one of fp32.</summary>
    private static Tensor Wide(Tensor x) => x.to(ScalarType.Float32);
}
