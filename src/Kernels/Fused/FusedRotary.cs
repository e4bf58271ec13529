using System.Runtime.Intrinsics;
using Titan.Abstractions;
using Titan.Kernels.Cuda;
using Titan.Kernels.Simd;
using static TorchSharp.torch;

namespace Titan.Kernels.Fused;

/// <summary>Cosines and sines of a rotary embedding in the order in which the kernel reads them.</summary>
public sealed class RotaryTable
{
    /// <summary>From cosines and sines, each [S, D / 2] fp32; both must live as long as the table.</summary>
    public RotaryTable(Tensor cos, Tensor sin)
    {
        (Cosines, Sines) = (cos, sin);
        Length = cos.shape[0];
        Width = 2 * cos.shape[1];
        (Cos, Sin) = (new float[Length * Width], new float[Length * Width]);
        using Tensor c32 = cos.cpu().contiguous(), s32 = sin.cpu().contiguous();
        float[] c = [.. c32.data<float>()], s = [.. s32.data<float>()];
        for (var i = 0; i < c.Length; i++)
        {
            Cos[2 * i] = Cos[2 * i + 1] = c[i];
            Sin[2 * i] = -s[i];
            Sin[2 * i + 1] = s[i];
        }
    }

    /// <summary>S, the positions that the table covers.</summary>
    public long Length { get; }

    /// <summary>D, the width of a head.</summary>
    public long Width { get; }

    /// <summary>[S, D / 2], as given.</summary>
    internal Tensor Cosines { get; }

    /// <summary>[S, D / 2], as given.</summary>
    internal Tensor Sines { get; }

    /// <summary>[S, D]: each cosine twice.</summary>
    internal float[] Cos { get; }

    /// <summary>[S, D]: each sine twice, first with the other sign.</summary>
    internal float[] Sin { get; }
}

/// <summary>
/// Rotary embedding of adjacent pairs (Su et al., 2021) in one pass, computed in fp32: (x, y) at position p to (x cos p - y sin p, x sin p + y cos p). Backward rotates by the
/// opposite angle and keeps nothing.
/// </summary>
public sealed class FusedRotary : GuardedFunction
{
    private readonly RotaryTable table;

    private FusedRotary(RotaryTable table) => this.table = table;

    /// <summary>Rotates x [B, S, H, D], S no longer than the table; returns x's shape and dtype.</summary>
    public static Tensor Rotate(Tensor x, RotaryTable table)
    {
        if (x.dim() != 4 || x.shape[3] != table.Width || x.shape[1] > table.Length)
            throw new ArgumentException($"rotary: x [{string.Join(", ", x.shape)}]; expected [B, S, H, {table.Width}] with S up to {table.Length}");
        if (!CpuMemory.Covers(x.dtype, x.device_type) && !CpuMemory.IsForCuda(x.dtype, x.device_type))
            throw new ArgumentException($"rotary: x is {x.dtype} on {x.device}; this kernel takes fp32 and bf16 on the CPU or a GPU");
        return new FusedRotary(table).Apply(x);
    }

    /// <inheritdoc />
    protected override Tensor Forward(Tensor[] inputs) => Rotate(inputs[0], table, 1);

    /// <inheritdoc />
    protected override Tensor?[] Backward(Tensor gradient) => [Rotate(gradient, table, -1)];

    private static Tensor Rotate(Tensor x, RotaryTable table, float sign)
    {
        using var whole = x.contiguous();
        if (x.device_type == TorchSharp.DeviceType.CUDA) return CudaModelOps.Shared.Rotary(whole, table.Cosines, table.Sines, backward: sign < 0);
        return x.dtype == ScalarType.Float32 ? Rotate<Float32Element>(whole, table, sign, SimdPaths.Best) : Rotate<BFloat16Element>(whole, table, sign, SimdPaths.Best);
    }

    internal static unsafe Tensor Rotate<TElement>(Tensor x, RotaryTable table, float sign, SimdPath path) where TElement : struct, IElement
    {
        long length = x.shape[1], heads = x.shape[2], width = x.shape[3];
        var y = empty(x.shape, dtype: x.dtype);
        byte* from = CpuMemory.Pointer(x), to = CpuMemory.Pointer(y);
        Parts.Split(x.shape[0] * length, heads * width, (_, start, count) =>
        {
            fixed (float* cosines = table.Cos, sines = table.Sin)
            {
                for (var row = start; row < start + count; row++)
                {
                    float* cos = cosines + row % length * width, sin = sines + row % length * width;
                    for (var head = 0L; head < heads; head++)
                    {
                        var offset = (row * heads + head) * width * TElement.Size;
                        Row<TElement>(from + offset, to + offset, cos, sin, width, sign, path);
                    }
                }
            }
        });
        GC.KeepAlive(x);
        return y;
    }

    private static unsafe void Row<TElement>(byte* source, byte* target, float* cos, float* sin, long width, float sign, SimdPath path) where TElement : struct, IElement
    {
        long i = 0;
        if (path != SimdPath.Portable)
        {
            for (; i + 32 <= width; i += 32)
            {
                var (a, b, c, d) = TElement.Load32(source, i);
                TElement.Store16(target, i, Turn(a, cos + i, sin + i, sign), Turn(b, cos + i + 8, sin + i + 8, sign));
                TElement.Store16(target, i + 16, Turn(c, cos + i + 16, sin + i + 16, sign), Turn(d, cos + i + 24, sin + i + 24, sign));
            }
        }

        for (; i < width; i += 2)
        {
            float x = TElement.Load(source, i), y = TElement.Load(source, i + 1), s = sin[i + 1] * sign;
            TElement.Store(target, i, x * cos[i] - y * s);
            TElement.Store(target, i + 1, x * s + y * cos[i]);
        }
    }

    private static unsafe Vector256<float> Turn(Vector256<float> pairs, float* cos, float* sin, float sign)
    {
        var swapped = Vector256.Shuffle(pairs, Vector256.Create(1, 0, 3, 2, 5, 4, 7, 6));
        return pairs * Vector256.Load(cos) + swapped * (Vector256.Load(sin) * sign);
    }
}
