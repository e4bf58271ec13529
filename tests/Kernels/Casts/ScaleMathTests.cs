using CsCheck;
using Titan.Abstractions;
using Titan.Kernels.Casts;
using static TorchSharp.torch;

namespace Titan.Kernels.Tests.Casts;

public class ScaleMathTests
{
    [Theory]
    [InlineData(0f, 0x57CBBA10u, 281474976710656f)]
    [InlineData(1e-13f, 0x57CBBA10u, 281474976710656f)]
    [InlineData(float.Epsilon, 0x57CBBA10u, 281474976710656f)]
    [InlineData(1f, 0x43E00000u, 256f)]
    [InlineData(448f, 0x3F800000u, 1f)]
    [InlineData(3e38f, 0x03FE13D7u, 7.523164e-37f)]
    [InlineData(float.PositiveInfinity, 0u, 0f)]
    public void ScalesAreThoseOfTheReferenceToTheBit(float amax, uint bits, float powerOfTwo)
    {
        using var scope = NewDisposeScope();
        Assert.Equal(bits, Bits(ScaleMath.FromAmax(tensor(amax), Float8Format.E4M3, ScaleRounding.None)));
        Assert.Equal(powerOfTwo, ScaleMath.FromAmax(tensor(amax), Float8Format.E4M3, ScaleRounding.PowerOfTwo).item<float>());
    }

    [Fact]
    public void NaNStaysNaN()
    {
        using var scope = NewDisposeScope();
        foreach (var rounding in new[] { ScaleRounding.None, ScaleRounding.PowerOfTwo })
            Assert.True(float.IsNaN(ScaleMath.FromAmax(tensor(float.NaN), Float8Format.E5M2, rounding).item<float>()));
    }

    [Fact]
    public void TheDivisionIsDoneInDouble() =>
        Gen.Select(Gen.Float.Where(f => float.IsFinite(f)), Gen.Bool).Sample((value, wide) =>
        {
            using var scope = NewDisposeScope();
            var format = wide ? Float8Format.E5M2 : Float8Format.E4M3;
            var amax = Math.Abs(value);
            var expected = (float)((wide ? 57344.0 : 448.0) / Math.Max((double)amax, 1e-12));
            Assert.Equal(BitConverter.SingleToUInt32Bits(expected), Bits(ScaleMath.FromAmax(tensor(amax), format, ScaleRounding.None)));
        }, iter: 300, threads: 1);

    [Theory]
    [InlineData(0x3F800000u, 0x3F800000u)] // 1
    [InlineData(0x7F800000u, 0x7F800000u)] // infinity
    [InlineData(0x00000001u, 0x00000001u)] // the smallest subnormal
    [InlineData(0x007FFFFFu, 0x00800000u)] // the largest subnormal: log2 rounds up
    [InlineData(0x7F7FFFFFu, 0x7F800000u)] // the largest number: log2 rounds up
    [InlineData(0x00800000u, 0x00800000u)] // the smallest normal number
    [InlineData(0x3F7FFFFFu, 0x3F000000u)] // just below 1
    [InlineData(0x3F800001u, 0x3F800000u)] // just above 1
    public void PowersOfTwoAreFoundAsTheReferenceFindsThem(uint scale, uint expected)
    {
        using var scope = NewDisposeScope();
        Assert.Equal(expected, Bits(ScaleMath.RoundDownToPowerOfTwo(tensor(BitConverter.UInt32BitsToSingle(scale)))));
        Assert.Equal(expected, BitConverter.SingleToUInt32Bits(ScaleMath.RoundDownToPowerOfTwo(BitConverter.UInt32BitsToSingle(scale))));
    }

    [Fact]
    public void One_number_in_scalar_code_has_the_scale_of_the_chain()
    {
        using var scope = NewDisposeScope();
        // Every 16411th pattern, and on both sides of where the scale is a power of two.
        var patterns = Enumerable.Range(0, 0x7fc00000 / 16411).Select(i => (uint)i * 16411)
            .Concat(Enumerable.Range(-100, 220).SelectMany(j => Enumerable.Range(-8, 80).Select(k => (uint)(BitConverter.SingleToInt32Bits((float)(1.75 * Math.Pow(2, j))) + k))));
        var values = patterns.Append(0x7f800000u).Append(0x7fc00000u).Select(BitConverter.UInt32BitsToSingle).ToArray();
        foreach (var format in new[] { Float8Format.E4M3, Float8Format.E5M2 })
            foreach (var rounding in new[] { ScaleRounding.None, ScaleRounding.PowerOfTwo })
                Assert.Equal(ScaleMath.FromAmax(tensor(values), format, rounding).data<float>().ToArray(), values.Select(v => ScaleMath.FromAmax(v, format, rounding)));
    }

    [Fact]
    public void Parts_of_an_amax_have_the_largest_and_NaN_wins()
    {
        using var scope = NewDisposeScope();
        Assert.Equal(7f, ScaleMath.AmaxOf(tensor(new[] { 1f, 7f, 3f })).item<float>());
        Assert.True(float.IsNaN(ScaleMath.AmaxOf(tensor(new[] { 1f, float.NaN, float.PositiveInfinity })).item<float>()));
        Assert.Equal(0L, ScaleMath.AmaxOf(tensor(new[] { 5f })).dim());
        Assert.Contains("at least one", Assert.Throws<ArgumentException>(() => ScaleMath.AmaxOf(empty(0))).Message);
    }

    [Fact]
    public void BlockRoundingsAreRefused()
    {
        using var scope = NewDisposeScope();
        var e = Assert.Throws<TitanException>(() => ScaleMath.FromAmax(tensor(1f), Float8Format.E4M3, ScaleRounding.Floor));
        Assert.Contains("block scales", e.Message);
        Assert.Contains("block scales", Assert.Throws<TitanException>(() => ScaleMath.FromAmax(1f, Float8Format.E4M3, ScaleRounding.Floor)).Message);
    }

    private static uint Bits(Tensor x) => BitConverter.SingleToUInt32Bits(x.item<float>());
}
