using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Training.Loop;
using static TorchSharp.torch;

namespace Titan.Benchmarks;

/// <summary>
/// Whether a kernel computes what the chain of ATen operations does, on the device that is measured. Casts must give the same bytes, on random numbers and on every bf16 number there is, infinite and NaN
/// ones included. The model's operations round once in bf16 where the chain may round three times: three half steps of 2^-8 each, and one of the kernel's.
/// </summary>
public static class KernelCheck
{
    /// <summary>Rows of random numbers in a case: some blocks along both dimensions.</summary>
    private const long Rows = 8 * KernelInputs.Block;

    /// <summary>What differs, or null.</summary>
    /// <param name="one">The kernel.</param>
    /// <param name="where">The device.</param>
    /// <param name="columns">Of the random numbers.</param>
    public static string? Difference(KernelCase one, TrainingDevice where, long columns = KernelInputs.DefaultColumns)
    {
        // Each side gets inputs of its own: rescaling writes into them.
        using (KernelInputs inputs = new(Rows * columns, one.Type, where, columns), others = new(Rows * columns, one.Type, where, columns))
            if (Difference(one, inputs, others) is { } random) return random;
        if (one.Differentiable) return null;
        using (KernelInputs inputs = new(one.Type, where), others = new(one.Type, where))
            return Difference(one, inputs, others) is { } patterns ? $"on every bf16 number: {patterns}" : null;
    }

    private static string? Difference(KernelCase one, KernelInputs inputs, KernelInputs others)
    {
        using var none = no_grad();
        IReadOnlyList<Tensor> plain = one.Prepare(inputs).Plain(), fused = one.Prepare(others).Fused();
        if (plain.Count != fused.Count) return $"{plain.Count} and {fused.Count} results";
        for (var i = 0; i < plain.Count; i++)
        {
            if (plain[i].dtype != fused[i].dtype || !plain[i].shape.SequenceEqual(fused[i].shape)) return $"result {i}: {plain[i].dtype} [{string.Join(", ", plain[i].shape)}] and {fused[i].dtype} [{string.Join(", ", fused[i].shape)}]";
            Tensor a = Wide(plain[i]), b = Wide(fused[i]), off = (a - b).abs();
            var bound = !one.Differentiable ? zeros_like(a) : plain[i].dtype == ScalarType.Float32 ? a.abs() * 1e-5 : a.abs() * Math.Pow(2, -6) + a.abs().mean() * Math.Pow(2, -12);
            // Infinite numbers are equal and have no difference; NaN is NaN, whatever its sign.
            var right = off.le(bound) | a.eq(b) | (a.isnan() & b.isnan());
            var wrong = right.logical_not().sum().item<long>();
            if (wrong > 0 || a.abs().max().item<double>() == 0) return $"result {i}: {wrong} of {a.numel()} elements differ, by up to {off.nan_to_num(double.PositiveInfinity).max().item<double>()}";
        }

        return null;
    }

    /// <summary>The values in fp64; scales of blocks as their bytes.</summary>
    private static Tensor Wide(Tensor x) =>
        (x.dtype == Float8Format.E8M0.Type ? AtenGateway.ViewDtype(x.contiguous(), ScalarType.Byte) : x.detach()).to(ScalarType.Float32).to(ScalarType.Float64);
}
