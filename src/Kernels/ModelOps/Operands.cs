using Titan.Kernels.Aten;
using Titan.Kernels.Simd;
using static TorchSharp.torch;

namespace Titan.Kernels.ModelOps;

/// <summary>What the kernels ask of their operands, and where results go.</summary>
internal static class Operands
{
    /// <summary>fp32 or bf16, on the CPU or a GPU.</summary>
    public static bool Covered(Tensor x) => CpuMemory.Covers(x.dtype, x.device_type) || CpuMemory.IsForCuda(x.dtype, x.device_type);

    public static void AreCovered(string kernel, Tensor x)
    {
        if (!Covered(x)) throw new ArgumentException($"{kernel}: x is {x.dtype} on {x.device}; this kernel takes fp32 and bf16 on the CPU or a GPU");
    }

    public static void AreRows(string kernel, Tensor x)
    {
        if (x.dim() == 0 || x.Sizes()[^1] == 0) throw new ArgumentException($"{kernel}: x is {Text(x)}; expected [..., D]");
    }

    public static void AreAlike(string kernel, Tensor x, Tensor other)
    {
        if (!x.Sizes().SequenceEqual(other.Sizes()) || x.dtype != other.dtype || x.device_type != other.device_type)
            throw new ArgumentException($"{kernel}: {Text(x)} and {Text(other)}; expected two of one shape, dtype and device");
    }

    public static void IsVector(string kernel, Tensor weight, Tensor x)
    {
        if (weight.dim() != 1 || weight.Sizes()[0] != x.Sizes()[^1] || weight.dtype != x.dtype || weight.device_type != x.device_type)
            throw new ArgumentException($"{kernel}: weight {Text(weight)} does not fit x {Text(x)}; expected [D] of x's dtype and device");
    }

    /// <summary>Results outlive the scope that was opened for what they were made of.</summary>
    public static void Keep(params ReadOnlySpan<Tensor?> results)
    {
        foreach (var result in results) result?.MoveToOuterDisposeScope();
    }

    private static string Text(Tensor x) => $"{x.dtype} [{string.Join(", ", x.shape)}] on {x.device}";
}
