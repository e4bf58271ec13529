using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.Simd;
using static TorchSharp.torch;

namespace Titan.Kernels.Casts;

/// <summary>
/// The casts that make their own scales: scale arithmetic in scalar code, a row cast while it is still in the cache. What is to be written transposed, which no matmul on the CPU wants, goes
/// the way of <see cref="CastChain"/>.
/// </summary>
internal sealed partial class FusedCasts
{
    public ScaledCast CastTensor(Tensor x, Tensor? amaxParts, CastTarget target, OperandLayout layout)
    {
        if (!CastsAlongRows(x, target, layout)) return CastChain.WithOneScale(this, x, amaxParts, target, layout);
        var scale = ScaleMath.FromAmax(amaxParts is null ? AmaxOf(x) : ScaleMath.LargestOf(amaxParts), target.Format, target.Rounding);
        return new ScaledCast(CastWithOneScale(x, scale, target.Format), null, tensor(scale), tensor(1 / scale));
    }

    public ScaledCast CastRows(Tensor x, CastTarget target)
    {
        if (!CastsAlongRows(x, target, OperandLayout.Rows)) return CastChain.Along(this, x, 1, target, OperandLayout.Rows);
        ScaleMath.CheckRounding(target.Rounding);
        return (x.dtype == ScalarType.Float32, target.Format == Float8Format.E4M3) switch
        {
            (true, true) => CastRows<Float32Element, E4M3Codec>(x, target),
            (true, false) => CastRows<Float32Element, E5M2Codec>(x, target),
            (false, true) => CastRows<BFloat16Element, E4M3Codec>(x, target),
            (false, false) => CastRows<BFloat16Element, E5M2Codec>(x, target),
        };
    }

    public ScaledCast CastColumns(Tensor x, CastTarget target, OperandLayout layout)
    {
        if (!CastsAlongRows(x, target, layout)) return CastChain.Along(this, x, 0, target, layout);
        ScaleMath.CheckRounding(target.Rounding);
        return CastColumns(x, AmaxAlong(x, 0), target);
    }

    /// <summary>The largest magnitudes of columns are found while the rows are in the cache.</summary>
    public (ScaledCast Rows, ScaledCast Columns) CastRowsAndColumns(Tensor x, CastTarget rows, CastTarget columns, OperandLayout columnLayout)
    {
        if (!CastsAlongRows(x, rows, OperandLayout.Rows) || !CastsAlongRows(x, columns, columnLayout)) return (CastRows(x, rows), CastColumns(x, columns, columnLayout));
        ScaleMath.CheckRounding(rows.Rounding);
        ScaleMath.CheckRounding(columns.Rounding);
        var amax = zeros([1, x.Sizes()[1]]);
        var along = (x.dtype == ScalarType.Float32, rows.Format == Float8Format.E4M3) switch
        {
            (true, true) => CastRows<Float32Element, E4M3Codec>(x, rows, amax),
            (true, false) => CastRows<Float32Element, E5M2Codec>(x, rows, amax),
            (false, true) => CastRows<BFloat16Element, E4M3Codec>(x, rows, amax),
            (false, false) => CastRows<BFloat16Element, E5M2Codec>(x, rows, amax),
        };
        return (along, CastColumns(x, amax, columns));
    }

    /// <param name="x">[R, C].</param>
    /// <param name="amax">[1, C] fp32, which become the scales in place.</param>
    /// <param name="target">Format and rounding.</param>
    private unsafe ScaledCast CastColumns(Tensor x, Tensor amax, CastTarget target)
    {
        var width = x.Sizes()[1];
        var inverse = empty([1, width]);
        float* scales = (float*)Pointer(amax), inverses = (float*)Pointer(inverse);
        for (var c = 0L; c < width; c++)
        {
            scales[c] = ScaleMath.FromAmax(scales[c], target.Format, target.Rounding);
            inverses[c] = 1 / scales[c];
        }

        return new ScaledCast(CastWithScales(x, amax, target.Format), null, amax, inverse);
    }

    /// <param name="x">[R, C].</param>
    /// <param name="target">Format and rounding.</param>
    /// <param name="columns">[1, C] fp32 zeros, which become the largest magnitudes of the columns; null for none.</param>
    private unsafe ScaledCast CastRows<TElement, TCodec>(Tensor x, CastTarget target, Tensor? columns = null) where TElement : struct, IElement where TCodec : struct, IFloat8Codec
    {
        // Rows that stay in a core's own cache from one look at them to the next.
        const long cached = 1 << 18;
        long rows = x.Sizes()[0], width = x.Sizes()[1], together = Math.Max(cached / (width * TElement.Size), 1);
        Tensor data = empty(x.Sizes(), dtype: target.Format.Type), scale = empty([rows, 1]), inverse = empty([rows, 1]);
        byte* source = Pointer(x), to = Pointer(data);
        float* scales = (float*)Pointer(scale), inverses = (float*)Pointer(inverse), all = columns is null ? null : (float*)Pointer(columns);
        Lock gate = new();
        Parts.Split(rows, width, (_, start, count) =>
        {
            var own = new float[all is null ? 0 : width];
            fixed (float* magnitudes = own)
            {
                for (var r = start; r < start + count; r++)
                {
                    var row = source + r * width * TElement.Size;
                    if (all is not null && (r - start) % together == 0) Magnitude.OfColumns<TElement>(row, Math.Min(together, start + count - r), width, magnitudes, width, path);
                    scales[r] = ScaleMath.FromAmax(Magnitude.Of<TElement>(row, width, path), target.Format, target.Rounding);
                    inverses[r] = 1 / scales[r];
                    Float8Encoder.Encode<TElement, OneFactor, TCodec>(row, to + r * width, width, new OneFactor(scales[r]), path);
                }
            }

            lock (gate)
                for (var c = 0L; c < own.Length; c++) all[c] = Magnitude.Larger(all[c], own[c]);
        });
        GC.KeepAlive(x);
        return new ScaledCast(data, null, scale, inverse);
    }

    private static bool CastsAlongRows(Tensor x, CastTarget target, OperandLayout layout) =>
        Covers(x) && x.dim() == 2 && x.numel() > 0 && layout == OperandLayout.Rows && IsElementFormat(target.Format);
}
