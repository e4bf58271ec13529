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

    /// <summary>Threads take columns to find the magnitudes, and rows to cast.</summary>
    public ScaledCast CastGroups(Tensor x, RowGroups groups, CastTarget target, OperandLayout layout)
    {
        if (!CastsAlongRows(x, target, layout)) return CastChain.Groups(this, x, groups, target, layout);
        ScaleMath.CheckRounding(target.Rounding);
        groups.Check(x.Sizes()[0]);
        return (x.dtype == ScalarType.Float32, target.Format == Float8Format.E4M3) switch
        {
            (true, true) => CastGroups<Float32Element, E4M3Codec>(x, groups, target),
            (true, false) => CastGroups<Float32Element, E5M2Codec>(x, groups, target),
            (false, true) => CastGroups<BFloat16Element, E4M3Codec>(x, groups, target),
            (false, false) => CastGroups<BFloat16Element, E5M2Codec>(x, groups, target),
        };
    }

    private unsafe ScaledCast CastGroups<TElement, TCodec>(Tensor x, RowGroups groups, CastTarget target) where TElement : struct, IElement where TCodec : struct, IFloat8Codec
    {
        long rows = x.Sizes()[0], width = x.Sizes()[1];
        long[] ends = [.. groups.HostEnds];
        Tensor data = empty(x.Sizes(), dtype: target.Format.Type), scale = zeros([ends.Length, width]), inverse = empty([ends.Length, width]);
        byte* source = Pointer(x), to = Pointer(data);
        float* scales = (float*)Pointer(scale), inverses = (float*)Pointer(inverse);
        Parts.Split((width + 63) / 64, 64 * rows, (_, start, count) =>
        {
            long first = 64 * start, own = Math.Min(64 * count, width - first);
            for (var e = 0; e < ends.Length; e++)
            {
                var begin = e == 0 ? 0 : ends[e - 1];
                var row = scales + e * width;
                Magnitude.OfColumns<TElement>(source + (begin * width + first) * TElement.Size, ends[e] - begin, width, row + first, own, path);
                for (var c = first; c < first + own; c++)
                {
                    row[c] = ScaleMath.FromAmax(row[c], target.Format, target.Rounding);
                    inverses[e * width + c] = 1 / row[c];
                }
            }
        });
        Parts.Split(rows, width, (_, start, count) =>
        {
            var e = 0;
            for (var r = start; r < start + count; r++)
            {
                while (e < ends.Length && ends[e] <= r) e++;
                if (e == ends.Length) new Span<byte>(to + r * width, (int)width).Clear();
                else Float8Encoder.Encode<TElement, FactorPerColumn, TCodec>(source + r * width * TElement.Size, to + r * width, width, new FactorPerColumn(scales + e * width), path);
            }
        });
        GC.KeepAlive(x);
        return new ScaledCast(data, null, scale, inverse);
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
