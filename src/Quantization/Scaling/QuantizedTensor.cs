using Titan.Abstractions;
using Titan.Kernels.Casts;
using static TorchSharp.torch;

namespace Titan.Quantization.Scaling;

/// <summary>A matrix in float8.</summary>
/// <param name="Data">[R, C] float8.</param>
/// <param name="Scale">fp32, multiplicative: 0-d for one scale; [R, 1] or [1, C] for one per row or column.</param>
/// <param name="Format">The format of the elements.</param>
public sealed record QuantizedTensor(Tensor Data, Tensor Scale, Float8Format Format) : IDisposable
{
    /// <summary>Casts a matrix.</summary>
    /// <param name="x">[R, C] fp32 or bf16.</param>
    /// <param name="cast">Tensorwise or rowwise.</param>
    /// <param name="contracted">The dimension that the matmul contracts; a rowwise cast has one scale per vector along it.</param>
    /// <param name="kernels">What does the element-wise work.</param>
    public static QuantizedTensor Cast(Tensor x, OperandCast.Scaled cast, int contracted, ICastKernels kernels)
    {
        using var amax = cast.Granularity is ScaleGranularity.Rowwise ? AmaxAlong(x, contracted) : kernels.Amax(x);
        var scale = ScaleMath.FromAmax(amax, cast.Format, cast.Rounding);
        return new QuantizedTensor(kernels.Cast(x, scale, cast.Format), scale, cast.Format);
    }

    /// <summary>The values, data / scale in fp32 (IEEE division, as the emulated matmul of the reference does).</summary>
    public Tensor Dequantize()
    {
        using var wide = Data.to(ScalarType.Float32);
        return wide / Scale;
    }

    /// <inheritdoc />
    public void Dispose()
    {
        Data.Dispose();
        Scale.Dispose();
    }

    private static Tensor AmaxAlong(Tensor x, int dimension)
    {
        using var scope = NewDisposeScope();
        if (x.shape[dimension] == 0)
        {
            var shape = x.shape.ToArray();
            shape[dimension] = 1;
            return zeros(shape, device: x.device).MoveToOuterDisposeScope();
        }

        return x.abs().amax([dimension], keepdim: true).to(ScalarType.Float32).MoveToOuterDisposeScope();
    }
}
