using System.Runtime.Intrinsics;
using Titan.Kernels.Simd;

namespace Titan.Kernels.Tests;

public sealed class ExponentialTests
{
    [Fact]
    public void Every_value_of_a_dense_sample_is_within_two_units_in_the_last_place()
    {
        // Every 512th fp32 number: all signs, exponents and a sample of mantissas, 8 million of them.
        for (long bits = 0; bits <= uint.MaxValue; bits += 512)
        {
            var x = BitConverter.UInt32BitsToSingle((uint)bits);
            if (float.IsNaN(x)) continue;
            var actual = Of(x);
            var exact = Math.Exp(x);
            if (exact > float.MaxValue * (1 + 1e-7)) Assert.True(float.IsPositiveInfinity(actual), $"e^{x:R} = {actual:R}");
            else
            {
                var unit = Math.Max(MathF.BitIncrement((float)exact) - (double)(float)exact, float.Epsilon);
                Assert.True(Math.Abs(actual - exact) <= 2 * unit, $"e^{x:R} = {actual:R}, exactly {exact:R}");
            }
        }
    }

    [Theory]
    [InlineData(0f, 1f)]
    [InlineData(float.PositiveInfinity, float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity, 0f)]
    [InlineData(float.NaN, float.NaN)]
    [InlineData(88.73f, float.PositiveInfinity)]
    [InlineData(-103.98f, 0f)]
    public void Limits_are_exact(float x, float expected) => Assert.Equal(expected, Of(x));

    private static float Of(float x) => Exponential.Of(Vector256.Create(x))[3];
}
