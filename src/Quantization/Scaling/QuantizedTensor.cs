using Titan.Abstractions;
using Titan.Kernels.Casts;
using static TorchSharp.torch;

namespace Titan.Quantization.Scaling;

/// <summary>A matrix in float8, in one of three forms that its scale tells apart:
/// <list type="bullet">
/// <item>fp32 [] or [R, 1] or [1, C]: one multiplicative scale for all, or per row or column; value = element / scale;</item>
/// <item>e8m0 [R, C / L] or [R / L, C]: one per block; value = element * 2^(byte - 127);</item>
/// <item>fp32 with <see cref="Tile"/>: one multiplicative scale per tile.</item>
/// </list>
/// </summary>
/// <param name="Data">[R, C] float8.</param>
/// <param name="Scale">The scales.</param>
/// <param name="Format">The format of the elements.</param>
/// <param name="Tile">Rows and columns of a tile with an fp32 scale; null for the other forms.</param>
/// <param name="Transposed">The same elements a second time, as a contiguous [C, R]; null where there is one copy only.</param>
/// <param name="Inverse">fl32(1 / scale) of fp32 scales outside of tiles, scale's shape, where the cast wrote it; null to compute it when it is needed.</param>
/// <param name="Swizzled">The scales of blocks as the block-scaled tensor cores read them (<see cref="ScaleSwizzle"/>), where the cast wrote them; null to make them when they are needed.</param>
public sealed record QuantizedTensor(
    Tensor Data, Tensor Scale, Float8Format Format, (int Rows, int Columns)? Tile = null, Tensor? Transposed = null, Tensor? Inverse = null, Tensor? Swizzled = null) : IDisposable
{
    /// <summary>A cast with fp32 scales; takes over its tensors. Where there are both copies, the one along the rows is the first.</summary>
    public static QuantizedTensor From(ScaledCast cast, Float8Format format)
    {
        cast.AmaxParts?.Dispose();
        if (cast.Data is { } data) return new QuantizedTensor(data, cast.Scale, format, Transposed: cast.Transposed, Inverse: cast.Inverse);
        using var transposed = cast.Transposed!;
        return new QuantizedTensor(transposed.t(), cast.Scale, format, Inverse: cast.Inverse);
    }

    /// <summary>A cast to blocks; takes over its tensors.</summary>
    public static QuantizedTensor From(BlockCast cast, Float8Format format) => new(cast.Data, cast.Scale, format, Swizzled: cast.Swizzled);

    /// <summary>Whether the scales are e8m0, one per block.</summary>
    public bool HasBlocks => Scale.dtype == Float8Format.E8M0.Type;

    /// <summary>Whether scales differ along the dimension that a matmul contracts, so that they cannot be applied to its result.</summary>
    public bool ScalesInside => HasBlocks || Tile is not null;

    /// <summary>What a product of the elements is to be multiplied by to have this operand's scale: fp32, one, per row or per column; 1 where <see cref="ScalesInside"/>.</summary>
    public Tensor FactorOutside() => ScalesInside ? ones([], device: Scale.device) : Inverse?.alias() ?? Scale.reciprocal();

    /// <summary>Casts a matrix. Blocks and tiles that lie along the contracted dimension fill it up with zeros to a multiple of their length.</summary>
    /// <param name="x">[R, C] fp32 or bf16.</param>
    /// <param name="cast">The cast.</param>
    /// <param name="contracted">The dimension that the matmul contracts.</param>
    /// <param name="kernels">What does the work on the elements.</param>
    /// <param name="reduceAmax">The largest over all ranks that hold other parts of the matrix, for one scale for all of it; null where this is all of it.</param>
    /// <param name="known">Parts of the amax of all of the matrix, for one scale for all of it, where they are known already; null to look for it.</param>
    /// <param name="layout">How the bytes should lie, where the scales are one or per column; what has a scale per row lies along rows, and blocks lie as the kernels write them.</param>
    /// <param name="swizzled">Whether the scales of blocks are also wanted as the tensor cores read them.</param>
    /// <exception cref="ArgumentException">x is no matrix: whoever has more dimensions flattens them, since only they know which of them are rows.</exception>
    public static QuantizedTensor Cast(
        Tensor x, OperandCast.Scaled cast, int contracted, ICastKernels kernels, Func<Tensor, Tensor>? reduceAmax = null, Tensor? known = null,
        OperandLayout layout = OperandLayout.Rows, bool swizzled = false)
    {
        if (x.dim() != 2) throw new ArgumentException($"cast of [{string.Join(", ", x.shape)}]: expected a matrix [R, C]");
        var target = new CastTarget(cast.Format, cast.Rounding);
        switch (cast.Granularity)
        {
            case ScaleGranularity.Block block when IsMicroscaling(cast.Rounding):
                var (rows, columns) = kernels.CastBlocks(x, block.Length, contracted == 1 ? target : null, contracted == 1 ? null : target, swizzled);
                return From((rows ?? columns)!, cast.Format);
            case ScaleGranularity.Block block:
                return TileCast.Cast(x, contracted == 1 ? (1, block.Length) : (block.Length, 1), contracted, cast, kernels);
            case ScaleGranularity.Tile tile:
                return TileCast.Cast(x, contracted == 1 ? (tile.Rows, tile.Columns) : (tile.Columns, tile.Rows), contracted, cast, kernels);
            case ScaleGranularity.Rowwise:
                return From(contracted == 1 ? kernels.CastRows(x, target) : kernels.CastColumns(x, target, layout), cast.Format);
            default:
                using (var amax = known is null && reduceAmax is not null ? Reduced(x, kernels, reduceAmax) : known?.alias())
                    return From(kernels.CastTensor(x, amax, target, layout), cast.Format);
        }
    }

    private static Tensor Reduced(Tensor x, ICastKernels kernels, Func<Tensor, Tensor> reduce)
    {
        using var own = kernels.Amax(x);
        return reduce(own);
    }

    /// <summary>Whether a rounding makes e8m0 scales, not fp32 ones.</summary>
    public static bool IsMicroscaling(ScaleRounding rounding) => rounding is not (ScaleRounding.None or ScaleRounding.PowerOfTwo);

    /// <summary>The values in fp32; where the scale is a factor by IEEE division, as the emulated matmul of the reference does.</summary>
    public Tensor Dequantize()
    {
        if (HasBlocks) return CastKernels.Plain.DecodeBlocks(Data, Scale, ScalarType.Float32);
        using var wide = Data.to(ScalarType.Float32);
        if (Tile is not { } tile) return wide / Scale;
        using var each = TileCast.Expand(Scale, tile, Data.shape);
        return wide / each;
    }

    /// <summary>The transposed matrix; shares memory. Of two copies, the second becomes the first. Swizzled scales have no direction: a matmul contracts what it contracted.</summary>
    public QuantizedTensor Transpose() => new(
        Transposed?.alias() ?? Data.t(), Turned(Scale), Format, Tile is { } t ? (t.Columns, t.Rows) : null, Transposed is null ? null : Data.alias(),
        Inverse is null ? null : Turned(Inverse), Swizzled?.alias());

    /// <summary>The same tensor under handles of its own.</summary>
    public QuantizedTensor Alias() => this with
    {
        Data = Data.alias(), Scale = Scale.alias(), Transposed = Transposed?.alias(), Inverse = Inverse?.alias(), Swizzled = Swizzled?.alias(),
    };

    /// <summary>All its tensors, as they are.</summary>
    public IEnumerable<Tensor> Tensors() => new[] { Data, Scale, Transposed, Inverse, Swizzled }.OfType<Tensor>();

    /// <summary>The elements [R, C] in the memory that lies along the columns, where there is such a copy: as the right operand of a matmul reads them.</summary>
    public Tensor AlongColumns() => Transposed?.t() ?? Data.alias();

    /// <inheritdoc />
    public void Dispose()
    {
        foreach (var tensor in Tensors()) tensor.Dispose();
    }

    private static Tensor Turned(Tensor scale) => scale.dim() == 2 ? scale.t() : scale.alias();
}
