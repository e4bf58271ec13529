using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.Simd;
using static TorchSharp.torch;

namespace Titan.Kernels.Casts;

/// <summary>The casts in one pass each. What the CPU code does not cover (another device, a strange layout) goes the plain way, with the same result.</summary>
/// <param name="path">How wide; all give the same bits.</param>
internal sealed partial class FusedCasts(SimdPath path) : ICastKernels
{
    public string Name => "fused";

    public Tensor Amax(Tensor x) => !Covers(x) || x.numel() == 0 ? CastKernels.Plain.Amax(x) : tensor(AmaxOf(x));

    private unsafe float AmaxOf(Tensor x)
    {
        var source = Pointer(x);
        var wide = x.dtype == ScalarType.Float32;
        var parts = new float[Environment.ProcessorCount];
        Parts.Split(x.numel(), 1, (index, start, count) =>
            parts[index] = wide ? Magnitude.Of<Float32Element>(source + 4 * start, count, path) : Magnitude.Of<BFloat16Element>(source + 2 * start, count, path));
        GC.KeepAlive(x);
        return parts.Aggregate(Magnitude.Larger);
    }

    public bool JoinsCasts(bool blocks) => !blocks;

    public Tensor AmaxAlong(Tensor x, int dimension) =>
        !Covers(x) || x.dim() != 2 || x.numel() == 0 ? CastKernels.Plain.AmaxAlong(x, dimension)
        : x.dtype == ScalarType.Float32 ? AmaxAlong<Float32Element>(x, dimension) : AmaxAlong<BFloat16Element>(x, dimension);

    public Tensor Cast(Tensor x, Tensor scale, Float8Format format)
    {
        if (!Covers(x) || scale.dtype != ScalarType.Float32 || !IsElementFormat(format)) return CastKernels.Plain.Cast(x, scale, format);
        if (scale.numel() == 1) return CastWithOneScale(x, scale.item<float>(), format);

        // One scale per row or column of a matrix: the recipes need no other.
        if (x.dim() != 2 || scale.dim() != 2 || !scale.is_contiguous() || !(scale.numel() == x.Sizes()[0] && scale.Sizes()[1] == 1 || scale.numel() == x.Sizes()[1] && scale.Sizes()[0] == 1))
            return CastKernels.Plain.Cast(x, scale, format);
        return CastWithScales(x, scale, format);
    }

    public (Tensor Data, Tensor Scale) CastBlocks(Tensor x, int dimension, int length, Float8Format format, ScaleRounding rounding)
    {
        if (!Covers(x) || x.dim() != 2 || length != BlockEncoder.Length || x.numel() == 0 || !IsElementFormat(format))
            return CastKernels.Plain.CastBlocks(x, dimension, length, format, rounding);
        return (x.dtype == ScalarType.Float32, format == Float8Format.E4M3) switch
        {
            (true, true) => CastBlocks<Float32Element, E4M3Codec>(x, dimension, format, rounding),
            (true, false) => CastBlocks<Float32Element, E5M2Codec>(x, dimension, format, rounding),
            (false, true) => CastBlocks<BFloat16Element, E4M3Codec>(x, dimension, format, rounding),
            (false, false) => CastBlocks<BFloat16Element, E5M2Codec>(x, dimension, format, rounding),
        };
    }

    public Tensor Decode(Tensor data, ScalarType type)
    {
        if (!CanDecode(data, type)) return CastKernels.Plain.Decode(data, type);
        return (type == ScalarType.Float32, data.dtype == Float8Format.E4M3.Type) switch
        {
            (true, true) => Decode<Float32Element, E4M3Codec>(data, type),
            (true, false) => Decode<Float32Element, E5M2Codec>(data, type),
            (false, true) => Decode<BFloat16Element, E4M3Codec>(data, type),
            (false, false) => Decode<BFloat16Element, E5M2Codec>(data, type),
        };
    }

    public Tensor DecodeScaled(Tensor data, Tensor inverse, ScalarType type)
    {
        var fits = CanDecode(data, type) && data.dim() == 2 && data.numel() > 0 && inverse is { dtype: ScalarType.Float32 } && inverse.dim() == 2 && inverse.is_contiguous()
            && (inverse.Sizes()[0] == data.Sizes()[0] && inverse.Sizes()[1] == 1 || inverse.Sizes()[0] == 1 && inverse.Sizes()[1] == data.Sizes()[1]);
        if (!fits) return CastKernels.Plain.DecodeScaled(data, inverse, type);
        return (type == ScalarType.Float32, data.dtype == Float8Format.E4M3.Type) switch
        {
            (true, true) => DecodeScaled<Float32Element, E4M3Codec>(data, inverse, type),
            (true, false) => DecodeScaled<Float32Element, E5M2Codec>(data, inverse, type),
            (false, true) => DecodeScaled<BFloat16Element, E4M3Codec>(data, inverse, type),
            (false, false) => DecodeScaled<BFloat16Element, E5M2Codec>(data, inverse, type),
        };
    }

    private unsafe Tensor DecodeScaled<TElement, TCodec>(Tensor data, Tensor inverse, ScalarType type) where TElement : struct, IElement where TCodec : struct, IFloat8Codec
    {
        long rows = data.Sizes()[0], columns = data.Sizes()[1];
        var perRow = inverse.Sizes()[1] == 1;
        var result = empty(data.Sizes(), dtype: type);
        byte* source = Pointer(data), target = Pointer(result);
        var factors = (float*)Pointer(inverse);
        Parts.Split(rows, columns, (_, start, count) =>
        {
            for (var r = start; r < start + count; r++)
            {
                byte* from = source + r * columns, to = target + r * columns * TElement.Size;
                if (perRow) Float8Decoder.Decode<TElement, OneFactor, TCodec>(from, to, columns, new OneFactor(factors[r]), path);
                else Float8Decoder.Decode<TElement, FactorPerColumn, TCodec>(from, to, columns, new FactorPerColumn(factors), path);
            }
        });
        GC.KeepAlive(data);
        GC.KeepAlive(inverse);
        return result;
    }

    public Tensor DecodeBlocks(Tensor data, Tensor scale, ScalarType type)
    {
        if (!CanDecode(data, type) || data.dim() != 2 || data.numel() == 0 || !scale.is_contiguous() || scale.dtype != Float8Format.E8M0.Type)
            return CastKernels.Plain.DecodeBlocks(data, scale, type);
        return (type == ScalarType.Float32, data.dtype == Float8Format.E4M3.Type) switch
        {
            (true, true) => DecodeBlocks<Float32Element, E4M3Codec>(data, scale, type),
            (true, false) => DecodeBlocks<Float32Element, E5M2Codec>(data, scale, type),
            (false, true) => DecodeBlocks<BFloat16Element, E4M3Codec>(data, scale, type),
            (false, false) => DecodeBlocks<BFloat16Element, E5M2Codec>(data, scale, type),
        };
    }

    public Tensor Rescale(Tensor product, Tensor left, Tensor right, ScalarType type)
    {
        if (!Covers(product) || product.dim() != 2 || type is not (ScalarType.Float32 or ScalarType.BFloat16) || product.numel() == 0
            || left.numel() != 1 && left.numel() != product.Sizes()[0] || right.numel() != 1 && right.numel() != product.Sizes()[1])
            return CastKernels.Plain.Rescale(product, left, right, type);
        return (product.dtype, type) switch
        {
            (ScalarType.Float32, ScalarType.Float32) => Rescale<Float32Element, Float32Element>(product, left, right, type),
            (ScalarType.Float32, _) => Rescale<Float32Element, BFloat16Element>(product, left, right, type),
            (_, ScalarType.Float32) => Rescale<BFloat16Element, Float32Element>(product, left, right, type),
            _ => Rescale<BFloat16Element, BFloat16Element>(product, left, right, type),
        };
    }

    private unsafe Tensor Rescale<TSource, TTarget>(Tensor product, Tensor left, Tensor right, ScalarType type) where TSource : struct, IElement where TTarget : struct, IElement
    {
        long rows = product.Sizes()[0], columns = product.Sizes()[1];
        var result = product.dtype == type ? product.alias() : empty(product.Sizes(), dtype: type);
        byte* source = Pointer(product), target = Pointer(result);
        float[] a = [.. left.data<float>()], b = [.. right.expand(1, columns).contiguous().data<float>()];
        Parts.Split(rows, columns, (_, start, count) =>
        {
            fixed (float* factors = b)
            {
                for (var r = start; r < start + count; r++)
                    Scaling.Row<TSource, TTarget, FactorPerRowAndColumn>(
                        source + r * columns * TSource.Size, target + r * columns * TTarget.Size, columns, new FactorPerRowAndColumn(a[a.Length > 1 ? r : 0], factors), path);
            }
        });
        GC.KeepAlive(product);
        return result;
    }

    private unsafe Tensor AmaxAlong<TElement>(Tensor x, int dimension) where TElement : struct, IElement
    {
        long rows = x.Sizes()[0], columns = x.Sizes()[1];
        var source = Pointer(x);
        var result = zeros(dimension == 1 ? [rows, 1] : [1, columns]);
        var target = (float*)Pointer(result);
        if (dimension == 1)
        {
            Parts.Split(rows, columns, (_, start, count) =>
            {
                for (var r = start; r < start + count; r++) target[r] = Magnitude.Of<TElement>(source + r * columns * TElement.Size, columns, path);
            });
        }
        else
        {
            // Each thread takes columns, not rows: then none has to merge its result with another's.
            Parts.Split((columns + 63) / 64, 64 * rows, (_, start, count) =>
            {
                long first = 64 * start, width = Math.Min(64 * count, columns - first);
                Magnitude.OfColumns<TElement>(source + first * TElement.Size, rows, columns, target + first, width, path);
            });
        }

        GC.KeepAlive(x);
        return result;
    }

    private Tensor CastWithOneScale(Tensor x, float scale, Float8Format format) => (x.dtype == ScalarType.Float32, format == Float8Format.E4M3) switch
    {
        (true, true) => CastWithOneScale<Float32Element, E4M3Codec>(x, scale, format),
        (true, false) => CastWithOneScale<Float32Element, E5M2Codec>(x, scale, format),
        (false, true) => CastWithOneScale<BFloat16Element, E4M3Codec>(x, scale, format),
        (false, false) => CastWithOneScale<BFloat16Element, E5M2Codec>(x, scale, format),
    };

    private Tensor CastWithScales(Tensor x, Tensor scale, Float8Format format) => (x.dtype == ScalarType.Float32, format == Float8Format.E4M3) switch
    {
        (true, true) => CastWithScales<Float32Element, E4M3Codec>(x, scale, format),
        (true, false) => CastWithScales<Float32Element, E5M2Codec>(x, scale, format),
        (false, true) => CastWithScales<BFloat16Element, E4M3Codec>(x, scale, format),
        (false, false) => CastWithScales<BFloat16Element, E5M2Codec>(x, scale, format),
    };

    private unsafe Tensor CastWithOneScale<TElement, TCodec>(Tensor x, float scale, Float8Format format) where TElement : struct, IElement where TCodec : struct, IFloat8Codec
    {
        var factor = new OneFactor(scale);
        var result = empty(x.Sizes(), dtype: format.Type);
        byte* source = Pointer(x), target = Pointer(result);
        Parts.Split(x.numel(), 1, (_, start, count) => Float8Encoder.Encode<TElement, OneFactor, TCodec>(source + start * TElement.Size, target + start, count, factor, path));
        GC.KeepAlive(x);
        return result;
    }

    private unsafe Tensor CastWithScales<TElement, TCodec>(Tensor x, Tensor scale, Float8Format format) where TElement : struct, IElement where TCodec : struct, IFloat8Codec
    {
        long rows = x.Sizes()[0], columns = x.Sizes()[1];
        var perRow = scale.Sizes()[1] == 1 && rows == scale.Sizes()[0];
        var result = empty(x.Sizes(), dtype: format.Type);
        byte* source = Pointer(x), target = Pointer(result);
        var factors = (float*)Pointer(scale);
        Parts.Split(rows, columns, (_, start, count) =>
        {
            for (var r = start; r < start + count; r++)
            {
                byte* from = source + r * columns * TElement.Size, to = target + r * columns;
                if (perRow) Float8Encoder.Encode<TElement, OneFactor, TCodec>(from, to, columns, new OneFactor(factors[r]), path);
                else Float8Encoder.Encode<TElement, FactorPerColumn, TCodec>(from, to, columns, new FactorPerColumn(factors), path);
            }
        });
        GC.KeepAlive(x);
        GC.KeepAlive(scale);
        return result;
    }

    private unsafe (Tensor Data, Tensor Scale) CastBlocks<TElement, TCodec>(Tensor x, int dimension, Float8Format format, ScaleRounding rounding)
        where TElement : struct, IElement where TCodec : struct, IFloat8Codec
    {
        const int length = BlockEncoder.Length;
        long rows = x.Sizes()[0], columns = x.Sizes()[1];
        var data = empty(x.Sizes(), dtype: format.Type);
        var scale = empty(dimension == 1 ? [rows, columns / length] : [rows / length, columns], dtype: Float8Format.E8M0.Type);
        byte* source = Pointer(x), target = Pointer(data), scales = Pointer(scale);
        if (dimension == 1)
        {
            Parts.Split(rows, columns, (_, start, count) => BlockEncoder.Row<TElement, TCodec>(
                source + start * columns * TElement.Size, target + start * columns, scales + start * columns / length, count * columns, format, rounding, path));
        }
        else
        {
            Parts.Split(rows / length, length * columns, (_, start, count) =>
            {
                for (var b = start; b < start + count; b++)
                {
                    var offset = b * length * columns;
                    BlockEncoder.Rows<TElement, TCodec>(source + offset * TElement.Size, target + offset, scales + b * columns, columns, columns, format, rounding, path);
                }
            });
        }

        GC.KeepAlive(x);
        return (data, scale);
    }

    private unsafe Tensor Decode<TElement, TCodec>(Tensor data, ScalarType type) where TElement : struct, IElement where TCodec : struct, IFloat8Codec
    {
        var result = empty(data.Sizes(), dtype: type);
        byte* source = Pointer(data), target = Pointer(result);
        Parts.Split(data.numel(), 1, (_, start, count) => Float8Decoder.Decode<TElement, TCodec>(source + start, target + start * TElement.Size, count, path));
        GC.KeepAlive(data);
        return result;
    }

    private unsafe Tensor DecodeBlocks<TElement, TCodec>(Tensor data, Tensor scale, ScalarType type) where TElement : struct, IElement where TCodec : struct, IFloat8Codec
    {
        long rows = data.Sizes()[0], columns = data.Sizes()[1], height = rows / scale.Sizes()[0], width = columns / scale.Sizes()[1];
        var result = empty(data.Sizes(), dtype: type);
        byte* source = Pointer(data), target = Pointer(result), scales = Pointer(scale);
        Parts.Split(rows / height, height * columns, (_, start, count) =>
        {
            // Blocks along columns: one factor per column, made once for all rows of the block.
            var factors = new float[width == 1 ? columns : 0];
            fixed (float* f = factors)
            {
                for (var b = start; b < start + count; b++)
                {
                    var own = scales + b * (columns / width);
                    for (var c = 0; c < factors.Length; c++) factors[c] = BlockScale.Value(own[c]);
                    for (var r = b * height; r < (b + 1) * height; r++)
                    {
                        byte* from = source + r * columns, to = target + r * columns * TElement.Size;
                        if (width == 1) Float8Decoder.Decode<TElement, FactorPerColumn, TCodec>(from, to, columns, new FactorPerColumn(f), path);
                        else
                            for (var c = 0L; c < columns; c += width)
                                Float8Decoder.Decode<TElement, OneFactor, TCodec>(from + c, to + c * TElement.Size, width, new OneFactor(BlockScale.Value(own[c / width])), path);
                    }
                }
            }
        });
        GC.KeepAlive(data);
        GC.KeepAlive(scale);
        return result;
    }

    private static bool CanDecode(Tensor data, ScalarType type) =>
        data.device_type == TorchSharp.DeviceType.CPU && data.is_contiguous() && type is ScalarType.Float32 or ScalarType.BFloat16
        && (data.dtype == Float8Format.E4M3.Type || data.dtype == Float8Format.E5M2.Type);

    /// <summary>e8m0 is a format of scales.</summary>
    private static bool IsElementFormat(Float8Format format) => format == Float8Format.E4M3 || format == Float8Format.E5M2;

    private static bool Covers(Tensor x) =>
        x.device_type == TorchSharp.DeviceType.CPU && x.is_contiguous() && x.dtype is ScalarType.Float32 or ScalarType.BFloat16;

    private static unsafe byte* Pointer(Tensor x) => (byte*)TensorMemory.Address(x);
}
