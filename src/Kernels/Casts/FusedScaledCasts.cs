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

    public unsafe ScaledCast CastColumns(Tensor x, CastTarget target, OperandLayout layout)
    {
        if (!CastsAlongRows(x, target, layout)) return CastChain.Along(this, x, 0, target, layout);
        ScaleMath.CheckRounding(target.Rounding);
        // The amaxes become the scales in place.
        Tensor scale = AmaxAlong(x, 0), inverse = empty([1, x.Sizes()[1]]);
        float* scales = (float*)Pointer(scale), inverses = (float*)Pointer(inverse);
        for (var c = 0L; c < x.Sizes()[1]; c++)
        {
            scales[c] = ScaleMath.FromAmax(scales[c], target.Format, target.Rounding);
            inverses[c] = 1 / scales[c];
        }

        return new ScaledCast(CastWithScales(x, scale, target.Format), null, scale, inverse);
    }

    private unsafe ScaledCast CastRows<TElement, TCodec>(Tensor x, CastTarget target) where TElement : struct, IElement where TCodec : struct, IFloat8Codec
    {
        long rows = x.Sizes()[0], columns = x.Sizes()[1];
        Tensor data = empty(x.Sizes(), dtype: target.Format.Type), scale = empty([rows, 1]), inverse = empty([rows, 1]);
        byte* source = Pointer(x), to = Pointer(data);
        float* scales = (float*)Pointer(scale), inverses = (float*)Pointer(inverse);
        Parts.Split(rows, columns, (_, start, count) =>
        {
            for (var r = start; r < start + count; r++)
            {
                var row = source + r * columns * TElement.Size;
                scales[r] = ScaleMath.FromAmax(Magnitude.Of<TElement>(row, columns, path), target.Format, target.Rounding);
                inverses[r] = 1 / scales[r];
                Float8Encoder.Encode<TElement, OneFactor, TCodec>(row, to + r * columns, columns, new OneFactor(scales[r]), path);
            }
        });
        GC.KeepAlive(x);
        return new ScaledCast(data, null, scale, inverse);
    }

    private static bool CastsAlongRows(Tensor x, CastTarget target, OperandLayout layout) =>
        Covers(x) && x.dim() == 2 && x.numel() > 0 && layout == OperandLayout.Rows && IsElementFormat(target.Format);
}
