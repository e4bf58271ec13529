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
public sealed record QuantizedTensor(Tensor Data, Tensor Scale, Float8Format Format, (int Rows, int Columns)? Tile = null, Tensor? Transposed = null) : IDisposable
{
    /// <summary>Whether the scales are e8m0, one per block.</summary>
    public bool HasBlocks => Scale.dtype == Float8Format.E8M0.Type;

    /// <summary>Whether scales differ along the dimension that a matmul contracts, so that they cannot be applied to its result.</summary>
    public bool ScalesInside => HasBlocks || Tile is not null;

    /// <summary>What a product of the elements is to be multiplied by to have this operand's scale: fp32, one, per row or per column; 1 where <see cref="ScalesInside"/>.</summary>
    public Tensor FactorOutside() => ScalesInside ? ones([], device: Scale.device) : Scale.reciprocal();

    /// <summary>Casts a matrix. Blocks and tiles that lie along the contracted dimension fill it up with zeros to a multiple of their length.</summary>
    /// <param name="x">[R, C] fp32 or bf16.</param>
    /// <param name="cast">The cast.</param>
    /// <param name="contracted">The dimension that the matmul contracts.</param>
    /// <param name="kernels">What does the work on the elements.</param>
    /// <param name="reduceAmax">The largest over all ranks that hold other parts of the matrix, for one scale for all of it; null where this is all of it.</param>
    /// <param name="known">The amax of all of the matrix, for one scale for all of it, where it is known already; null to look for it.</param>
    /// <param name="layout">How the bytes should lie, where the kernels can choose and the scales are one, per row or per column; blocks lie as the kernels write them.</param>
    /// <exception cref="ArgumentException">x is no matrix: whoever has more dimensions flattens them, since only they know which of them are rows.</exception>
    public static QuantizedTensor Cast(
        Tensor x, OperandCast.Scaled cast, int contracted, ICastKernels kernels, Func<Tensor, Tensor>? reduceAmax = null, Tensor? known = null, OperandLayout layout = OperandLayout.Rows)
    {
        if (x.dim() != 2) throw new ArgumentException($"cast of [{string.Join(", ", x.shape)}]: expected a matrix [R, C]");
        switch (cast.Granularity)
        {
            case ScaleGranularity.Block block when IsMicroscaling(cast.Rounding):
                using (var filled = Padding.Fill(x, contracted, block.Length))
                {
                    var (data, scales) = kernels.CastBlocks(filled, contracted, block.Length, cast.Format, cast.Rounding);
                    return new QuantizedTensor(data, scales, cast.Format);
                }

            case ScaleGranularity.Block block:
                return TileCast.Cast(x, contracted == 1 ? (1, block.Length) : (block.Length, 1), contracted, cast, kernels);
            case ScaleGranularity.Tile tile:
                return TileCast.Cast(x, contracted == 1 ? (tile.Rows, tile.Columns) : (tile.Columns, tile.Rows), contracted, cast, kernels);
            default:
                using (var amax = cast.Granularity is ScaleGranularity.Rowwise ? kernels.AmaxAlong(x, contracted) : known?.alias() ?? Amax(x, kernels, reduceAmax))
                {
                    var scale = ScaleMath.FromAmax(amax, cast.Format, cast.Rounding);
                    return Cast(x, scale, cast.Format, kernels, layout);
                }
        }
    }

    private static QuantizedTensor Cast(Tensor x, Tensor scale, Float8Format format, ICastKernels kernels, OperandLayout layout)
    {
        if (layout == OperandLayout.Rows || kernels is not ITransposingCastKernels transposing) return new QuantizedTensor(kernels.Cast(x, scale, format), scale, format);
        if (layout == OperandLayout.Both)
        {
            var (data, second) = transposing.CastBoth(x, scale, format);
            return new QuantizedTensor(data, scale, format, Transposed: second);
        }

        using var transposed = transposing.CastTransposed(x, scale, format);
        return new QuantizedTensor(transposed.t(), scale, format);
    }

    private static Tensor Amax(Tensor x, ICastKernels kernels, Func<Tensor, Tensor>? reduce)
    {
        var own = kernels.Amax(x);
        if (reduce is null) return own;
        using (own) return reduce(own);
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

    /// <summary>The transposed matrix; shares memory. Of two copies, the second becomes the first.</summary>
    public QuantizedTensor Transpose() => new(
        Transposed?.alias() ?? Data.t(), Scale.dim() == 2 ? Scale.t() : Scale.alias(), Format, Tile is { } t ? (t.Columns, t.Rows) : null, Transposed is null ? null : Data.alias());

    /// <summary>The same tensor under handles of its own.</summary>
    public QuantizedTensor Alias() => this with { Data = Data.alias(), Scale = Scale.alias(), Transposed = Transposed?.alias() };

    /// <summary>The elements [R, C] in the memory that lies along the columns, where there is such a copy: as the right operand of a matmul reads them.</summary>
    public Tensor AlongColumns() => Transposed?.t() ?? Data.alias();

    /// <inheritdoc />
    public void Dispose()
    {
        Data.Dispose();
        Scale.Dispose();
        Transposed?.Dispose();
    }
}
