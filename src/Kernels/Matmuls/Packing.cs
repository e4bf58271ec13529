using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Titan.Kernels.Casts;
using Titan.Kernels.Simd;

namespace Titan.Kernels.Matmuls;

/// <summary>
/// Copies a panel of an operand, some lanes wide and some depth long, into the order in which the micro-kernel reads it: all lanes of a depth side by side, in fp32. Decoding float8 happens here, once
/// per element, and so does applying block scales. What lies beyond the last lane is filled with anything: it reaches only elements of the result that nobody stores.
/// </summary>
internal static unsafe class Packing
{
    private static readonly float[] PowersOfTwo = [.. Enumerable.Range(0, 256).Select(b => BlockScale.Value((byte)b))];

    /// <summary>Writes [depth, width] floats, and up to 7 more behind them.</summary>
    /// <param name="view">From the panel's first lane and depth on.</param>
    /// <param name="target">Where to.</param>
    /// <param name="depth">Depth of the panel.</param>
    /// <param name="width">Lanes of the panel.</param>
    public static void Pack<TSource>(PanelView view, float* target, int depth, int width) where TSource : struct, ISourceElement
    {
        var packed = view.DepthStride == 1 ? AlongDepth<TSource>(view, target, depth, width)
            : view.LaneStride == 1 && view.Lanes >= (width + 7) / 8 * 8 ? AlongLanes<TSource>(view, target, depth, width) : 0;
        var lanes = Math.Min(width, view.Lanes);
        for (var k = packed; k < depth; k++)
        {
            for (var lane = 0; lane < lanes; lane++) target[k * width + lane] = TSource.Load(view.Data, lane * view.LaneStride + k * view.DepthStride);
        }

        if (view.Scales is not null) Scale(view, target, depth, width);
    }

    private static int AlongLanes<TSource>(PanelView view, float* target, int depth, int width) where TSource : struct, ISourceElement
    {
        // The last depth is left to the loop over elements where a vector would write beyond the panel.
        var whole = width % 8 == 0 ? depth : depth - 1;
        for (var k = 0; k < whole; k++)
        {
            for (var lane = 0; lane < width; lane += 8) TSource.Load8(view.Data, k * view.DepthStride + lane).Store(target + k * width + lane);
        }

        return whole;
    }

    private static int AlongDepth<TSource>(PanelView view, float* target, int depth, int width) where TSource : struct, ISourceElement
    {
        var offsets = stackalloc long[8];
        for (var first = 0; first < width; first += 8)
        {
            for (var lane = 0; lane < 8; lane++) offsets[lane] = Math.Min(first + lane, view.Lanes - 1) * view.LaneStride;
            for (var k = 0; k + 8 <= depth; k += 8)
            {
                Transpose(
                    TSource.Load8(view.Data, offsets[0] + k), TSource.Load8(view.Data, offsets[1] + k), TSource.Load8(view.Data, offsets[2] + k), TSource.Load8(view.Data, offsets[3] + k),
                    TSource.Load8(view.Data, offsets[4] + k), TSource.Load8(view.Data, offsets[5] + k), TSource.Load8(view.Data, offsets[6] + k), TSource.Load8(view.Data, offsets[7] + k),
                    target + k * width + first, width);
            }
        }

        return depth / 8 * 8;
    }

    /// <summary>Stores the columns of eight rows, one after the other: where they are narrower than a vector, each overwrites what the one before wrote too much.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Transpose(
        Vector256<float> r0, Vector256<float> r1, Vector256<float> r2, Vector256<float> r3, Vector256<float> r4, Vector256<float> r5, Vector256<float> r6, Vector256<float> r7, float* to, int stride)
    {
        Vector256<float> a0 = Avx.UnpackLow(r0, r1), a1 = Avx.UnpackHigh(r0, r1), a2 = Avx.UnpackLow(r2, r3), a3 = Avx.UnpackHigh(r2, r3);
        Vector256<float> a4 = Avx.UnpackLow(r4, r5), a5 = Avx.UnpackHigh(r4, r5), a6 = Avx.UnpackLow(r6, r7), a7 = Avx.UnpackHigh(r6, r7);
        Vector256<float> b0 = Avx.Shuffle(a0, a2, 0x44), b1 = Avx.Shuffle(a0, a2, 0xee), b2 = Avx.Shuffle(a1, a3, 0x44), b3 = Avx.Shuffle(a1, a3, 0xee);
        Vector256<float> b4 = Avx.Shuffle(a4, a6, 0x44), b5 = Avx.Shuffle(a4, a6, 0xee), b6 = Avx.Shuffle(a5, a7, 0x44), b7 = Avx.Shuffle(a5, a7, 0xee);
        Avx.Permute2x128(b0, b4, 0x20).Store(to);
        Avx.Permute2x128(b1, b5, 0x20).Store(to + stride);
        Avx.Permute2x128(b2, b6, 0x20).Store(to + 2 * stride);
        Avx.Permute2x128(b3, b7, 0x20).Store(to + 3 * stride);
        Avx.Permute2x128(b0, b4, 0x31).Store(to + 4 * stride);
        Avx.Permute2x128(b1, b5, 0x31).Store(to + 5 * stride);
        Avx.Permute2x128(b2, b6, 0x31).Store(to + 6 * stride);
        Avx.Permute2x128(b3, b7, 0x31).Store(to + 7 * stride);
    }

    private static void Scale(PanelView view, float* panel, int depth, int width)
    {
        // As many as whole vectors have; the factors of lanes beyond the width are 1, since those are lanes of the next depth.
        var lanes = (width + 7) / 8 * 8;
        var factors = stackalloc float[lanes];
        for (var start = 0; start < depth; start += view.BlockLength)
        {
            var scales = view.Scales + start / view.BlockLength * view.ScaleDepthStride;
            for (var lane = 0; lane < lanes; lane++) factors[lane] = lane < width ? PowersOfTwo[scales[Math.Min(lane, view.Lanes - 1) * view.ScaleLaneStride]] : 1;
            var end = Math.Min(depth, start + view.BlockLength);
            for (var k = start; k < end; k++)
            {
                for (var lane = 0; lane < width; lane += 8)
                {
                    var at = panel + k * width + lane;
                    (Vector256.Load(at) * Vector256.Load(factors + lane)).Store(at);
                }
            }
        }
    }
}
