using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.Casts;
using Titan.Quantization.Measurement;
using static TorchSharp.torch;

namespace Titan.Host.Bench;

/// <summary>Runs the kernel cases.</summary>
/// <param name="timer">How to time.</param>
public sealed class KernelBench(InterleavedTimer timer)
{
    /// <summary>Fused against plain, in billions of elements per second.</summary>
    public BenchmarkTable Elementwise(IReadOnlyList<KernelCase> cases, IReadOnlyList<long> sizes, BenchProgress progress)
    {
        using var none = no_grad();
        var rows = new List<IReadOnlyList<string>>();
        foreach (var one in cases)
        {
            using (var small = new KernelInputs(KernelInputs.Multiple, one.Type)) CodeWarmUp.Run(InScope(() => one.Plain(small)), InScope(() => one.Fused(small)));
            foreach (var size in sizes)
            {
                progress.Next($"{one.Name}, {BenchText.Count(size)}");
                using var inputs = new KernelInputs(size, one.Type);
                var times = timer.Time(InScope(() => one.Plain(inputs)), InScope(() => one.Fused(inputs)));
                rows.Add([one.Name, BenchText.Count(size), .. times.SelectMany(t => new[] { BenchText.Rate(size / t.Median), BenchText.Rate(size / t.Least) }), BenchText.Ratio(times[0].Median / times[1].Median), $"{times[0].Repetitions}"]);
            }
        }

        return new BenchmarkTable("Casts", ["kernel", "elements", "ATen chain, Gelem/s", "ATen chain, best", "fused, Gelem/s", "fused, best", "fused / ATen", "repetitions"], rows);
    }

    /// <summary>The CPU's float8 matmul (decode, multiply, rescale) against ATen's, and against the product in high precision, in GFLOP/s.</summary>
    public BenchmarkTable Matmuls(IReadOnlyList<(long Tokens, LinearShape Shape)> shapes, BenchProgress progress)
    {
        using var none = no_grad();
        var rows = new List<IReadOnlyList<string>>();
        foreach (var (m, (k, n)) in shapes)
        {
            progress.Next($"float8 matmul {m}x{k}x{n}");
            using var scope = NewDisposeScope();
            using var random = new Generator(0);
            Tensor x = randn([m, k], generator: random).to(ScalarType.BFloat16), w = randn([n, k], generator: random).to(ScalarType.BFloat16);
            var kernels = CastKernels.Fused;
            Tensor scaleX = 448 / kernels.Amax(x), scaleW = 448 / kernels.Amax(w);
            Tensor inverseX = scaleX.reciprocal(), inverseW = scaleW.reciprocal();
            Tensor a = kernels.Cast(x, scaleX, Float8Format.E4M3), b = kernels.Cast(w, scaleW, Float8Format.E4M3);
            // What the layers multiply in on this CPU: bf16, or fp32 where it has no fast bf16 product.
            var type = Matmul.ComputeType(ScalarType.BFloat16, TorchSharp.DeviceType.CPU);
            var times = timer.Time(
                InScope(() => AtenGateway.ScaledMm(a, b.t(), inverseX, inverseW, ScalarType.BFloat16)),
                InScope(() => kernels.Rescale(kernels.Decode(a, type).mm(kernels.Decode(b, type).t()), inverseX, inverseW, ScalarType.BFloat16)),
                InScope(() => Matmul.Multiply(x, w.t())));
            var flops = 2.0 * m * k * n;
            rows.Add([$"{m}x{k}x{n}", .. times.Select(t => BenchText.Rate(flops / t.Median)), BenchText.Ratio(times[0].Median / times[1].Median), BenchText.Ratio(times[2].Median / times[1].Median), $"{times[0].Repetitions}"]);
        }

        return new BenchmarkTable("Float8 matmul", ["MxKxN", "ATen _scaled_mm, GFLOP/s", "decode + mm, GFLOP/s", "bf16 mm, GFLOP/s", "decode + mm / _scaled_mm", "decode + mm / bf16 mm", "repetitions"], rows);
    }

    private static Action InScope(Action action) => () =>
    {
        using var scope = NewDisposeScope();
        action();
    };

    private static Action InScope(Func<Tensor> action) => InScope(() => { action(); });
}
