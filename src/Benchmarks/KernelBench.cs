using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.Matmuls;
using Titan.Quantization.Measurement;
using Titan.Training.Loop;
using TorchSharp;
using static TorchSharp.torch;

namespace Titan.Benchmarks;

/// <summary>Runs the kernel cases.</summary>
/// <param name="timer">How to time.</param>
/// <param name="where">The device; each timing ends when a GPU has done its work.</param>
/// <param name="calls">Calls in a row that are timed together: a GPU works on one while the next is on its way, as in a run. Times are those of one call.</param>
/// <param name="columns">Of the matrices.</param>
/// <param name="queue">What times a GPU by its own clock; null for the time until the device has done its work, calls included.</param>
public sealed class KernelBench(InterleavedTimer timer, TrainingDevice where, int calls = 1, long columns = KernelInputs.DefaultColumns, QueuedTimer? queue = null)
{
    /// <summary>Sizes for a CPU: within its cache, and beyond it.</summary>
    public const string CpuSizes = "1M,4M,16M";

    /// <summary>Sizes for a GPU: smaller ones stay in its cache, and take less time than a launch.</summary>
    public const string GpuSizes = "16M,256M";

    /// <summary>The calls that a timing needs: more than one, so that the distance of two points on a GPU is long beside what its clock resolves.</summary>
    public static int DefaultCalls(TrainingDevice where) => where.Capability.IsCuda ? 10 : 1;

    /// <summary>The kernels that do not compute what the chain does, each with what differs: they must not be compared.</summary>
    public IReadOnlyList<string> Check(IReadOnlyList<KernelCase> cases, BenchProgress progress)
    {
        var wrong = new List<string>();
        foreach (var one in cases)
        {
            progress.Next($"{one.Name}: same results?");
            if (KernelCheck.Difference(one, where, columns) is { } difference) wrong.Add($"{one.Name}: {difference}");
        }

        return wrong;
    }

    /// <summary>Fused against plain, in billions of elements per second; and in bytes per second, against a copy that moves as many.</summary>
    public BenchmarkTable Fused(IReadOnlyList<KernelCase> cases, IReadOnlyList<long> sizes, BenchProgress progress)
    {
        using var none = no_grad();
        var rows = new List<IReadOnlyList<string>>();
        foreach (var one in cases)
        {
            using (var small = new KernelInputs(KernelInputs.Block * columns, one.Type, where, columns))
            {
                var work = one.Prepare(small);
                CodeWarmUp.Run(Done(Calls(work.Plain, 1)), Done(Calls(work.Fused, 1)));
            }

            foreach (var size in sizes)
            {
                progress.Next($"{one.Name}, {BenchText.Count(size)}");
                using var inputs = new KernelInputs(size, one.Type, where, columns);
                var work = one.Prepare(inputs);
                var bytes = work.Bytes();
                // Half of the bytes are read, half are written. Ones, because pages that nobody wrote are all the same one and would be read from the cache.
                Tensor from = ones(bytes / 8, device: where.Device), to = ones_like(from);
                var times = Time(Calls(work.Plain, calls), Calls(work.Fused, calls), Calls(() => to.copy_(from), calls));
                Timing plain = times[0], fused = times[1], copy = times[2];
                var elements = work.Elements ?? size;
                rows.Add(
                [
                    one.Name, BenchText.Count(size), .. new[] { plain, fused }.SelectMany(t => new[] { BenchText.Rate(elements / t.Median), BenchText.Rate(elements / t.Least) }), BenchText.Ratio(plain.Median / fused.Median),
                    BenchText.Digits(bytes / 1e6), BenchText.Rate(bytes / fused.Median), BenchText.Rate(bytes / copy.Median), BenchText.Percent(copy.Median / fused.Median), $"{fused.Repetitions}",
                ]);
            }
        }

        return new BenchmarkTable("Fused kernels",
        [
            "kernel", "elements", "ATen chain, Gelem/s", "ATen chain, best", "fused, Gelem/s", "fused, best", "fused / ATen", "MB moved at least", "fused, GB/s", "copy, GB/s", "fused / copy", "repetitions",
        ], rows);
    }

    /// <summary>
    /// The float8 matmul that layers run here (ATen's on a GPU, the fused one on a CPU for that, else decode, mm and rescale), against ATen's, against decode, mm and rescale, and against the bf16 product
    /// of plain and of fused layers; in GFLOP/s.
    /// </summary>
    public BenchmarkTable Matmuls(IReadOnlyList<(long Tokens, LinearShape Shape)> shapes, BenchProgress progress)
    {
        using var none = no_grad();
        var rows = new List<IReadOnlyList<string>>();
        foreach (var (m, (k, n)) in shapes)
        {
            progress.Next($"float8 matmul {m}x{k}x{n}");
            using var scope = NewDisposeScope();
            using var random = new SeededNumbers(0, where.Device);
            Tensor x = random.Normal(ScalarType.BFloat16, m, k), w = random.Normal(ScalarType.BFloat16, n, k);
            var kernels = KernelInputs.FusedOn(where);
            Tensor scaleX = 448 / kernels.Amax(x), scaleW = 448 / kernels.Amax(w);
            Tensor inverseX = scaleX.reciprocal(), inverseW = scaleW.reciprocal();
            Tensor a = kernels.Cast(x, scaleX, Float8Format.E4M3), b = kernels.Cast(w, scaleW, Float8Format.E4M3);
            // What the layers multiply in here: bf16, or fp32 on a CPU that has no fast bf16 product.
            var type = Matmul.ComputeType(ScalarType.BFloat16, where.Device.type);
            Func<Tensor> scaledMm = () => AtenGateway.ScaledMm(a, b.t(), inverseX, inverseW, ScalarType.BFloat16);
            Func<Tensor> decoded = () => kernels.Rescale(kernels.Decode(a, type).mm(kernels.Decode(b, type).t()), inverseX, inverseW, ScalarType.BFloat16);
            var ofLayers = where.Capability.IsCuda ? scaledMm
                : CpuMatmul.IsPreferred ? () => CpuMatmul.Multiply(new MatmulOperand(a), new MatmulOperand(b.t()), ScalarType.BFloat16, inverseX, inverseW)
                : decoded;
            var times = Time(
                Calls(scaledMm, calls),
                Calls(decoded, calls),
                Calls(ofLayers, calls),
                Calls(() => Matmul.Multiply(x, w.t()), calls),
                Calls(() => HighPrecisionProduct.Multiply(x, w.t()), calls));
            var flops = 2.0 * m * k * n;
            rows.Add([
                $"{m}x{k}x{n}", .. times.Select(t => BenchText.Rate(flops / t.Median)), BenchText.Ratio(times[0].Median / times[2].Median), BenchText.Ratio(times[4].Median / times[2].Median),
                BenchText.Ratio(times[3].Median / times[4].Median), $"{times[0].Repetitions}"]);
        }

        string[] columns = [
            "MxKxN", "ATen _scaled_mm, GFLOP/s", "decode + mm, GFLOP/s", "float8 of layers, GFLOP/s", "bf16 plain, GFLOP/s", "bf16 of fused layers, GFLOP/s", "float8 of layers / _scaled_mm",
            "float8 / bf16 of fused layers", "bf16 fused / plain", "repetitions"];
        return new BenchmarkTable("Float8 matmul", columns, rows);
    }

    /// <summary>Times of one call each.</summary>
    private IReadOnlyList<Timing> Time(params IReadOnlyList<Action> arms)
    {
        var times = queue is null ? timer.Time([.. arms.Select(Done)]) : timer.TimeBy(queue.Seconds, arms);
        return [.. times.Select(t => t with { Median = t.Median / calls, Least = t.Least / calls })];
    }

    private static Action Calls<T>(Func<T> work, int count) => () =>
    {
        for (var i = 0; i < count; i++)
        {
            using var scope = NewDisposeScope();
            work();
        }
    };

    /// <summary>Waits for the device too.</summary>
    private Action Done(Action calls) => () =>
    {
        calls();
        if (where.Device.type == DeviceType.CUDA) cuda.synchronize(where.Device);
    };
}
