using CsCheck;
using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.Casts;
using static TorchSharp.torch;

namespace Titan.Kernels.Tests.Casts;

/// <summary>Casts with a scale per row, per column, per block: each width of SIMD against the chain of ATen operations, byte for byte.</summary>
public class AxisTests
{
    [Theory]
    [InlineData("Portable"), InlineData("Vector256"), InlineData("Vector512")]
    public void A_scale_per_row_or_column_gives_the_bytes_of_the_plain_chain(string name)
    {
        Gen.Select(Gen.Int[0, 70], Gen.Int[1, 140], Gen.Bool, Gen.Int[0, 1], Gen.Int[0, 10000]).Sample((rows, columns, wide, dimension, seed) =>
        {
            using var scope = NewDisposeScope();
            var x = Sample(rows, columns, wide, seed);
            var fused = CastTests.Named(name);
            Tensor amax = fused.AmaxAlong(x, dimension), expected = CastKernels.Plain.AmaxAlong(x, dimension);
            Assert.Equal(expected.shape, amax.shape);
            Same(expected, amax);
            var scale = 448 / expected.clamp(min: 1e-12);
            foreach (var format in new[] { Float8Format.E4M3, Float8Format.E5M2 })
                Assert.Equal(Canonical(CastKernels.Plain.Cast(x, scale, format), format), Canonical(fused.Cast(x, scale, format), format));
        }, iter: 150, threads: 1);
    }

    [Theory]
    [InlineData("Portable"), InlineData("Vector256"), InlineData("Vector512")]
    public void Blocks_give_the_bytes_scales_and_values_of_the_plain_chain(string name)
    {
        Gen.Select(Gen.Int[0, 5], Gen.Int[1, 10], Gen.Bool, Gen.Int[0, 1], Gen.Int[0, 10000]).Sample((rows, columns, wide, dimension, seed) =>
        {
            using var scope = NewDisposeScope();
            var x = Sample(dimension == 0 ? rows * 32 : rows * 7, dimension == 0 ? columns * 13 : columns * 32, wide, seed);
            var fused = CastTests.Named(name);
            foreach (var rounding in new[] { ScaleRounding.Floor, ScaleRounding.RoundUp, ScaleRounding.Ceil, ScaleRounding.Even })
            {
                foreach (var format in new[] { Float8Format.E4M3, Float8Format.E5M2 })
                {
                    var expected = CastKernels.Plain.CastBlocks(x, dimension, 32, format, rounding);
                    var actual = fused.CastBlocks(x, dimension, 32, format, rounding);
                    Assert.Equal(expected.Scale.shape, actual.Scale.shape);
                    Assert.Equal(Bytes(expected.Scale), Bytes(actual.Scale));
                    Assert.Equal(Canonical(expected.Data, format), Canonical(actual.Data, format));
                    foreach (var type in new[] { ScalarType.BFloat16, ScalarType.Float32 })
                        Same(CastKernels.Plain.DecodeBlocks(actual.Data, actual.Scale, type), fused.DecodeBlocks(actual.Data, actual.Scale, type));
                }
            }
        }, iter: 60, threads: 1);
    }

    [Fact]
    public void Every_bfloat16_amax_has_the_same_scale_byte_in_scalar_code_and_in_the_plain_chain()
    {
        using var scope = NewDisposeScope();
        var values = Enumerable.Range(0, 0x7f81).Select(i => BitConverter.UInt32BitsToSingle((uint)i << 16))
            .Concat(Enumerable.Range(0, 100_000).Select(i => BitConverter.UInt32BitsToSingle((uint)i * 21393 & 0x7fffffff))).ToArray();
        foreach (var rounding in new[] { ScaleRounding.Floor, ScaleRounding.RoundUp, ScaleRounding.Ceil, ScaleRounding.Even })
        {
            foreach (var format in new[] { Float8Format.E4M3, Float8Format.E5M2 })
                Assert.Equal(Bytes(BlockScale.FromAmax(tensor(values), format, rounding)), values.Select(v => BlockScale.FromAmax(v, format, rounding)));
        }
    }

    [Fact]
    public void The_reciprocal_of_each_scale_byte_is_the_power_of_two_on_the_other_side()
    {
        using var scope = NewDisposeScope();
        var bytes = Enumerable.Range(0, 256).Select(i => (byte)i).ToArray();
        var e8m0 = AtenGateway.ViewDtype(tensor(bytes), Float8Format.E8M0.Type);
        float[] reciprocal = [.. BlockScale.Decode(e8m0, reciprocal: true).data<float>()], value = [.. BlockScale.Decode(e8m0, reciprocal: false).data<float>()];
        for (var e = 0; e < 255; e++)
        {
            Assert.Equal(Math.Pow(2, 127 - e), reciprocal[e]);
            Assert.Equal(Math.Pow(2, e - 127), value[e]);
            Assert.Equal((reciprocal[e], value[e]), (BlockScale.Reciprocal((byte)e), BlockScale.Value((byte)e)));
        }

        Assert.True(float.IsNaN(reciprocal[255]) && float.IsNaN(value[255]) && float.IsNaN(BlockScale.Reciprocal(255)) && float.IsNaN(BlockScale.Value(255)));
    }

    [Theory]
    [InlineData(0x00000000u, 0), InlineData(0x00000001u, 0), InlineData(0x00400000u, 0), InlineData(0x00400001u, 1), InlineData(0x007FFFFFu, 1), InlineData(0x00800000u, 1)]
    [InlineData(0x1F800000u, 63), InlineData(0x1F800001u, 64), InlineData(0x3F7FFFFFu, 127), InlineData(0x3F800000u, 127), InlineData(0x3F800001u, 128), InlineData(0x5F800000u, 191)]
    [InlineData(0x5F800001u, 192), InlineData(0x7F000000u, 254), InlineData(0x7F000001u, 255), InlineData(0x7F7FFFFFu, 255), InlineData(0x7F800000u, 255), InlineData(0x7FC00000u, 255)]
    public void Rounding_up_to_a_power_of_two_gives_the_reference_byte(uint bits, byte expected) => Assert.Equal(expected, BlockScale.RoundUp(BitConverter.UInt32BitsToSingle(bits)));

    [Theory]
    [InlineData("Portable"), InlineData("Vector256"), InlineData("Vector512")]
    public void Scales_are_given_back_to_a_product_as_by_the_plain_chain(string name)
    {
        Gen.Select(Gen.Int[1, 40], Gen.Int[1, 90], Gen.Int[0, 15], Gen.Int[0, 10000]).Sample((rows, columns, kind, seed) =>
        {
            using var scope = NewDisposeScope();
            manual_seed(seed);
            ScalarType from = (kind & 1) == 0 ? ScalarType.Float32 : ScalarType.BFloat16, to = (kind & 2) == 0 ? ScalarType.Float32 : ScalarType.BFloat16;
            var product = Sample(rows, columns, from == ScalarType.Float32, seed);
            Tensor left = (kind & 4) == 0 ? rand([]) : rand(rows, 1), right = (kind & 8) == 0 ? rand([]) : rand(1, columns);
            var expected = CastKernels.Plain.Rescale(product, left, right, to);
            var actual = CastTests.Named(name).Rescale(product, left, right, to);
            Assert.Equal(to, actual.dtype);
            Same(expected, actual);
        }, iter: 150, threads: 1);
    }

    /// <summary>Numbers over many magnitudes, with zeros, infinities, NaN and subnormals among them.</summary>
    private static Tensor Sample(long rows, long columns, bool wide, int seed)
    {
        manual_seed(seed);
        var x = randn(rows, columns) * exp2((rand(rows, columns) - 0.5) * 40);
        var kind = rand(rows, columns);
        x = where(kind.lt(0.05), zeros_like(x), x);
        if (seed % 3 == 0)
        {
            x = where(kind.gt(0.998), full_like(x, double.NaN), x);
            x = where(kind.gt(0.996).logical_and(kind.le(0.998)), full_like(x, double.NegativeInfinity), x);
            x = where(kind.gt(0.95).logical_and(kind.le(0.996)), x * 1e-38f * 1e-3f, x);
            x = where(kind.gt(0.93).logical_and(kind.le(0.95)), full_like(x, 3.3e38f), x);
        }

        return wide ? x : x.to(ScalarType.BFloat16);
    }

    private static void Same(Tensor expected, Tensor actual)
    {
        Tensor a = expected.to(ScalarType.Float32), b = actual.to(ScalarType.Float32);
        Assert.Equal(0, a.ne(b).logical_and(a.isnan().logical_and(b.isnan()).logical_not()).sum().item<long>());
    }

    /// <summary>All NaN codes as one.</summary>
    private static byte[] Canonical(Tensor x, Float8Format format) => [.. Bytes(x).Select(b => (b & 0x7f) > (format == Float8Format.E4M3 ? 0x7e : 0x7c) ? (byte)0x7f : b)];

    private static byte[] Bytes(Tensor x) => x.numel() == 0 ? [] : AtenGateway.ViewDtype(x.contiguous(), ScalarType.Byte).data<byte>().ToArray();
}
