using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Kernels.Casts;

/// <summary>The element-wise work of a float8 recipe. Every implementation gives the same bytes; they differ in speed.</summary>
public interface ICastKernels
{
    /// <summary>Name for reports.</summary>
    string Name { get; }

    /// <summary>The largest magnitude in x: 0-d fp32. NaN if x holds one.</summary>
    Tensor Amax(Tensor x);

    /// <summary>round(clamp(x * scale)) to float8, nearest even. NaN stays NaN.</summary>
    /// <param name="x">[...] fp32 or bf16.</param>
    /// <param name="scale">0-d fp32, or fp32 that broadcasts over x.</param>
    /// <param name="format">The element format.</param>
    /// <returns>Contiguous, x's shape.</returns>
    Tensor Cast(Tensor x, Tensor scale, Float8Format format);

    /// <summary>The exact bf16 values of float8 elements.</summary>
    Tensor Decode(Tensor x);
}

/// <summary>The implementations.</summary>
public static class CastKernels
{
    /// <summary>A chain of plain ATen operations: slow, short, the oracle of all others.</summary>
    public static ICastKernels Plain { get; } = new PlainCasts();

    /// <summary>One pass over the data, in SIMD, on the CPU.</summary>
    public static ICastKernels Fused { get; } = new FusedCasts(SimdPaths.Best);
}
