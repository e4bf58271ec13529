using System.Runtime.Intrinsics;
using Titan.Abstractions;
using Titan.Kernels.Simd;

namespace Titan.Kernels.Casts;

/// <summary>Casts to blocks of 32 with e8m0 scales, one pass over the data: a block is read twice, the second time from the cache.</summary>
internal static unsafe class BlockEncoder
{
    public const int Length = 32;

    /// <summary>Blocks that lie along a row. Source [count], target [count], scales [count / 32].</summary>
    public static void Row<TElement, TCodec>(byte* source, byte* target, byte* scales, long count, Float8Format format, ScaleRounding rounding, SimdPath path)
        where TElement : struct, IElement where TCodec : struct, IFloat8Codec
    {
        for (long i = 0; i < count; i += Length)
        {
            var block = source + i * TElement.Size;
            var scale = BlockScale.FromAmax(path == SimdPath.Portable ? Magnitude.Of<TElement>(block, Length, path) : Amax<TElement>(block), format, rounding);
            scales[i / Length] = scale;
            Float8Encoder.Encode<TElement, OneFactor, TCodec>(block, target + i, Length, new OneFactor(BlockScale.Reciprocal(scale)), path);
        }
    }

    /// <summary>Blocks that lie along the columns of 32 rows. Source and target [32, columns], <c>stride</c> elements from one row to the next; scales [columns].</summary>
    public static void Rows<TElement, TCodec>(
        byte* source, byte* target, byte* scales, long columns, long stride, Float8Format format, ScaleRounding rounding, SimdPath path)
        where TElement : struct, IElement where TCodec : struct, IFloat8Codec
    {
        // So many columns that 32 rows of them stay in the first-level cache.
        const int width = 256;
        var factors = stackalloc float[width];
        for (long first = 0; first < columns; first += width)
        {
            var count = Math.Min(width, columns - first);
            new Span<float>(factors, (int)count).Clear();
            Magnitude.OfColumns<TElement>(source + first * TElement.Size, Length, stride, factors, count, path);
            for (var i = 0; i < count; i++)
            {
                var scale = BlockScale.FromAmax(factors[i], format, rounding);
                scales[first + i] = scale;
                factors[i] = BlockScale.Reciprocal(scale);
            }

            for (var row = 0; row < Length; row++)
            {
                var offset = row * stride + first;
                Float8Encoder.Encode<TElement, FactorPerColumn, TCodec>(source + offset * TElement.Size, target + offset, count, new FactorPerColumn(factors), path);
            }
        }
    }

    private static float Amax<TElement>(byte* block) where TElement : struct, IElement
    {
        var (a, b, c, d) = TElement.Load32(block, 0);
        var mask = Vector256.Create(0x7fffffffu);
        var best = Vector256.Max(
            Vector256.Max(a.AsUInt32() & mask, b.AsUInt32() & mask), Vector256.Max(c.AsUInt32() & mask, d.AsUInt32() & mask));
        var half = Vector128.Max(best.GetLower(), best.GetUpper());
        half = Vector128.Max(half, Vector128.Shuffle(half, Vector128.Create(2u, 3, 0, 1)));
        half = Vector128.Max(half, Vector128.Shuffle(half, Vector128.Create(1u, 0, 3, 2)));
        return BitConverter.UInt32BitsToSingle(half.ToScalar());
    }
}
