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
            var exact = Math.Exp(Math.Min(x, Exponential.Highest));
            // Below the normal numbers there is nothing but zero.
            if (exact < Math.Pow(2, -126)) Assert.InRange(actual, 0, MathF.Pow(2, -126));
            else
            {
                var unit = MathF.BitIncrement((float)exact) - (double)(float)exact;
                Assert.True(Math.Abs(actual - exact) <= 2 * unit, $"e^{x:R} = {actual:R}, exactly {exact:R}");
            }
        }
    }

    [Theory]
    [InlineData(0f, 1f)]
    [InlineData(float.NegativeInfinity, 0f)]
    [InlineData(-88f, 0f)]
    [InlineData(float.NaN, float.NaN)]
    public void Limits_are_exact(float x, float expected) => Assert.Equal(expected, Of(x));

    [Fact]
    public void What_is_too_large_stays_at_the_highest_finite_result() => Assert.Equal(Of(Exponential.Highest), Of(float.PositiveInfinity));

    private static float Of(float x) => Exponential.Of(Vector256.Create(x))[3];
}
