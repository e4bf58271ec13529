using Titan.Kernels.Aten;
using Titan.Kernels.Casts;
using Titan.Quantization.Scaling;
using static TorchSharp.torch;

namespace Titan.Quantization.Matmuls;

/// <summary>
/// The tensor cores' float8 matmul. They want the left operand row-major and the right one column-major. The engine's casts on CUDA write what is wanted; what lies otherwise
/// (a weight that travelled in float8, a number of tokens that is no multiple of 16) is copied, in float8.
/// </summary>
/// <param name="kernels">What gives a product its scales back.</param>
/// <param name="rowScales">Where scales per row go; null for <see cref="RowScales.Default"/>.</param>
internal sealed class ScaledMmMatmul(ICastKernels kernels, RowScales? rowScales = null) : IFloat8Matmul
{
    private const long Multiple = 16;

    private readonly RowScales rowScales = rowScales ?? RowScales.Default;
    private readonly Dictionary<string, Tensor> units = [];

    public string Name => $"_scaled_mm ({rowScales.Name})";

    public bool ReadsAlongContracted => true;

    public Tensor Multiply(QuantizedTensor left, QuantizedTensor right, ScalarType type, bool fastAccumulation, bool wide = false)
    {
        using var scope = NewDisposeScope();
        if (wide) type = ScalarType.Float32;
        if (left.HasBlocks && right.HasBlocks) return MultiplyBlocks(left, right, type).MoveToOuterDisposeScope();
        long rows = left.Data.Sizes()[0], columns = right.Data.Sizes()[1];
        var (a, b) = Oriented(left, right);
        if (rows == 0 || columns == 0 || a.Sizes()[1] == 0) return zeros([rows, columns], dtype: type, device: left.Data.device).MoveToOuterDisposeScope();
        // Where the cast wrote them, without handles of their own.
        Tensor inverseA = left.Inverse ?? left.FactorOutside(), inverseB = right.Inverse ?? right.FactorOutside();
        if (inverseA.numel() == 1 && inverseB.numel() == 1)
            return AtenGateway.ScaledMm(a, b, inverseA, inverseB, type, fastAccumulation).MoveToOuterDisposeScope();

        if (rowScales.Inside(new RowScaledProduct(rows, a.Sizes()[1], columns, fastAccumulation, type)))
        {
            // The kernel with a scale per row writes bf16.
            var scaled = AtenGateway.ScaledMm(
                a, b, inverseA.expand(rows, 1).contiguous(), inverseB.expand(1, columns).contiguous(), ScalarType.BFloat16, fastAccumulation);
            return scaled.to(type).MoveToOuterDisposeScope();
        }

        // A bf16 product is rounded, then rounded again with its scales, as the reference does; an fp32 one is rounded nowhere in between. What is neither is rounded from fp32.
        var written = type == ScalarType.BFloat16 ? type : ScalarType.Float32;
        var one = Unit(left.Data.device);
        var product = AtenGateway.ScaledMm(a, b, one, one, written, fastAccumulation);
        return kernels.Rescale(product, inverseA, inverseB, written).to(type).MoveToOuterDisposeScope();
    }

    /// <summary>The scale 1 on a device: one kernel in the life of the process, not one for every product.</summary>
    private Tensor Unit(Device device)
    {
        lock (units)
        {
            var name = device.ToString();
            if (!units.TryGetValue(name, out var unit)) units.Add(name, unit = ones([], dtype: ScalarType.Float32, device: device).DetachFromDisposeScope());
            return unit;
        }
    }

    /// <summary>The elements of both as the tensor cores want them; no copies where they lie so.</summary>
    internal static (Tensor Left, Tensor Right) Oriented(QuantizedTensor left, QuantizedTensor right) => (Padded(left.Data), Padded(right.Transposed ?? right.Data.t()).t());

    /// <summary>Block-scaled operands: the tensor cores read the scales swizzled, a row of them per row of the left and column of the right operand.</summary>
    private static Tensor MultiplyBlocks(QuantizedTensor left, QuantizedTensor right, ScalarType type)
    {
        if (left.Data.numel() == 0 || right.Data.numel() == 0) return zeros([left.Data.Sizes()[0], right.Data.Sizes()[1]], dtype: type, device: left.Data.device);
        var product = AtenGateway.ScaledMmBlocks(
            left.Data.contiguous(), right.Data.t().contiguous().t(), left.Swizzled ?? ScaleSwizzle.ToBlocked(left.Scale), right.Swizzled ?? ScaleSwizzle.ToBlocked(right.Scale.t()));
        return product.to(type);
    }

    /// <summary>Row-major, the contracted dimension filled up with zeros: in grad_weight it is the number of tokens, which need not be a multiple of 16.</summary>
    private static Tensor Padded(Tensor x)
    {
        var rest = x.Sizes()[1] % Multiple;
        if (rest == 0) return x.is_contiguous() ? x : x.contiguous();
        var padded = zeros([x.Sizes()[0], x.Sizes()[1] + Multiple - rest], dtype: x.dtype, device: x.device);
        padded.narrow(1, 0, x.Sizes()[1]).copy_(x);
        return padded;
    }
}
