using System.Runtime.InteropServices;
using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.Tests.Casts;
using static TorchSharp.torch;

namespace Titan.Kernels.Tests.Cuda;

/// <summary>What the kernels are fed, and how results are compared.</summary>
internal static class Samples
{
    /// <summary>All bf16 patterns, in order.</summary>
    public static Tensor EveryBFloat16() =>
        AtenGateway.ViewDtype(tensor(MemoryMarshal.Cast<ushort, short>(Enumerable.Range(0, 65536).Select(i => (ushort)i).ToArray()).ToArray()), ScalarType.BFloat16);

    /// <summary>fp32 patterns that are spread over all exponents, every midpoint between neighbours of a format and its neighbours, and the special ones; a multiple of 64.</summary>
    public static Tensor Float32(Float8Format format, int stride = 65537)
    {
        var oracle = format == Float8Format.E4M3 ? Float8Oracle.E4M3 : Float8Oracle.E5M2;
        var patterns = Enumerable.Range(0, (int)(uint.MaxValue / stride)).Select(i => (uint)i * (uint)stride).ToList();
        for (byte code = 0; code < 0x7f; code++)
        {
            double low = oracle.Decode(code), high = oracle.Decode((byte)(code + 1));
            if (!double.IsFinite(low)) break;
            var edges = double.IsFinite(high) ? new[] { low, (low + high) / 2 } : [low, low + (low - oracle.Decode((byte)(code - 1))) / 2];
            foreach (var edge in edges)
            {
                var bits = BitConverter.SingleToUInt32Bits((float)edge);
                patterns.AddRange([bits, bits + 1, 0x80000000 | bits, 0x80000000 | (bits + 1)]);
                if (bits > 0) patterns.AddRange([bits - 1, 0x80000000 | (bits - 1)]);
            }
        }

        patterns.AddRange([0, 0x80000000, 1, 0x80000001, 0x007fffff, 0x00800000, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7f800001, 0x7fc00000, 0xffffffff]);
        while (patterns.Count % 64 != 0) patterns.Add(0x3f800000);
        return tensor(patterns.Select(BitConverter.UInt32BitsToSingle).ToArray());
    }

    /// <summary>Random numbers with wide exponents, and in some places zeros, subnormals, infinities and NaN.</summary>
    public static Tensor Matrix(long rows, long columns, ScalarType type, int seed, bool special = true)
    {
        var random = new Random(seed);
        var values = new float[rows * columns];
        for (var i = 0; i < values.Length; i++)
        {
            values[i] = (float)((random.NextDouble() * 2 - 1) * Math.Pow(2, random.Next(-12, 12)));
            if (special && random.Next(97) == 0)
                values[i] = new[] { 0f, -0f, 1e-40f, -1e-42f, float.PositiveInfinity, float.NegativeInfinity, float.NaN, float.MaxValue }[random.Next(8)];
        }

        return tensor(values).reshape(rows, columns).to(type);
    }

    /// <summary>The same numbers in memory that does not begin at a multiple of 16 bytes.</summary>
    public static Tensor Misaligned(Tensor x)
    {
        var wide = empty([x.numel() + 1], dtype: x.dtype);
        var view = wide.narrow(0, 1, x.numel()).view(x.shape);
        view.copy_(x);
        Assert.NotEqual(0, TensorMemory.Address(view) % 16);
        return view;
    }

    public static byte[] Bytes(Tensor x)
    {
        var bytes = new byte[x.numel() * x.element_size()];
        using var whole = x.contiguous();
        if (bytes.Length > 0) Marshal.Copy(TensorMemory.Address(whole), bytes, 0, bytes.Length);
        return bytes;
    }

    /// <summary>Float8 bytes are equal; all NaNs count as one, since hardware gives their sign no meaning.</summary>
    public static void AssertSameCodes(Tensor expected, Tensor actual, string what = "")
    {
        Assert.Equal(expected.shape, actual.shape);
        Assert.Equal(expected.dtype, actual.dtype);
        var firstNan = expected.dtype == Float8Format.E5M2.Type ? 0x7d : 0x7f;
        byte[] wanted = Bytes(expected), got = Bytes(actual);
        for (var i = 0; i < wanted.Length; i++)
        {
            if (wanted[i] == got[i] || ((wanted[i] & 0x7f) >= firstNan && (got[i] & 0x7f) >= firstNan)) continue;
            Assert.Fail($"{what} [{string.Join(", ", expected.shape)}] element {i}: expected {wanted[i]:x2}, got {got[i]:x2}");
        }
    }

    /// <summary>fp32 values are equal to the bit; all NaNs count as one.</summary>
    public static void AssertSameFloats(Tensor expected, Tensor actual, string what = "")
    {
        Assert.Equal(expected.shape, actual.shape);
        float[] wanted = expected.to(ScalarType.Float32).contiguous().data<float>().ToArray(), got = actual.to(ScalarType.Float32).contiguous().data<float>().ToArray();
        for (var i = 0; i < wanted.Length; i++)
        {
            if (BitConverter.SingleToUInt32Bits(wanted[i]) == BitConverter.SingleToUInt32Bits(got[i]) || (float.IsNaN(wanted[i]) && float.IsNaN(got[i]))) continue;
            Assert.Fail($"{what} element {i}: expected {wanted[i]:g9}, got {got[i]:g9}");
        }
    }
}
