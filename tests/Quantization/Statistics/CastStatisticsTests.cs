using Titan.Abstractions;
using Titan.Quantization.Linear;
using Titan.Quantization.Statistics;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests.Statistics;

/// <summary>What is measured against values that are computed element by element.</summary>
public class CastStatisticsTests
{
    [Fact]
    public void The_statistics_of_a_tensorwise_cast_are_those_of_the_definition()
    {
        using var scope = NewDisposeScope();
        manual_seed(41);
        var x = randn(48, 64);
        // Far below the smallest value that e4m3 holds beside an amax of 1000.
        x.narrow(0, 0, 3).mul_(1e-6);
        x[5, 5] = 1000;
        x[6, 6] = 0;
        var statistics = Of(x, E4M3.Tensorwise);
        var scale = (float)(448 / 1000d);
        double signal = 0, noise = 0;
        var underflowed = 0;
        foreach (var value in x.data<float>())
        {
            var rounded = Round(value * scale) / scale;
            signal += (double)value * value;
            noise += ((double)value - rounded) * ((double)value - rounded);
            if (value != 0 && rounded == 0) underflowed++;
        }

        Assert.Equal(1000, statistics.Amax);
        Assert.Equal(new ScaleRange(scale, scale, scale, 1), statistics.Scale);
        Assert.Equal(0, statistics.Saturated);
        Assert.InRange(underflowed, 3 * 64, 4 * 64);
        Assert.Equal(underflowed / (48d * 64), statistics.Underflowed);
        Assert.Equal(10 * Math.Log10(signal / noise), statistics.Sqnr, 3);
        Assert.Equal(["amax", "scale", "saturated", "underflowed", "sqnr"], statistics.Named().Select(n => n.Name));
    }

    [Theory]
    [InlineData(ScaleRounding.Floor, 0.5), InlineData(ScaleRounding.RoundUp, 0)]
    public void What_FLOOR_cuts_off_is_counted_as_saturated_and_RCEIL_cuts_off_nothing(ScaleRounding rounding, double saturated)
    {
        using var scope = NewDisposeScope();
        var x = full(2, 64, 1f);
        // 480 = 1.875 * 2^8 lies above 448: the blocks of one row are cut off.
        x[0] = 1.875f;
        var statistics = Of(x, E4M3.Block(32, rounding));
        Assert.Equal(saturated, statistics.Saturated);
        Assert.Equal(4, statistics.Scale!.Value.Count);
        Assert.Equal(256, statistics.Scale.Value.Max);
        Assert.Equal(rounding == ScaleRounding.Floor ? 256 : 128, statistics.Scale.Value.Min);
        Assert.Equal(["amax", "scale_min", "scale_median", "scale_max", "saturated", "underflowed", "sqnr"], statistics.Named().Select(n => n.Name));
    }

    [Theory]
    [InlineData(0), InlineData(1)]
    public void Rows_that_fill_up_a_block_or_a_tile_do_not_count(int contracted)
    {
        using var scope = NewDisposeScope();
        manual_seed(42);
        // 40 is no multiple of 32 or 128.
        var x = contracted == 1 ? randn(8, 40) : randn(40, 8);
        foreach (var cast in new[] { E4M3.Block(32, ScaleRounding.RoundUp), new OperandCast.Scaled(Float8Format.E4M3, new ScaleGranularity.Block(128), ScaleRounding.None) })
        {
            var statistics = Of(x, cast, contracted);
            Assert.InRange(statistics.Sqnr, 28, 40);
            Assert.Equal(0, statistics.Underflowed);
            Assert.Equal(0, statistics.Saturated);
        }
    }

    [Fact]
    public void Tiny_gradients_have_the_ratio_of_large_ones()
    {
        using var scope = NewDisposeScope();
        manual_seed(43);
        var x = randn(32, 32);
        Assert.Equal(Of(x, E4M3.Block(32, ScaleRounding.RoundUp)).Sqnr, Of(x * Math.Pow(2, -90), E4M3.Block(32, ScaleRounding.RoundUp)).Sqnr, 6);
    }

    [Fact]
    public void A_tensor_of_zeros_loses_nothing_and_one_that_is_not_finite_has_no_ratio()
    {
        using var scope = NewDisposeScope();
        Assert.Equal(double.PositiveInfinity, Of(zeros(16, 16), E4M3.Tensorwise).Sqnr);
        var bad = ones(16, 16);
        bad[0, 0] = float.NaN;
        Assert.Equal(double.NaN, Of(bad, E4M3.Tensorwise).Sqnr);
    }

    private static CastStatistics Of(Tensor x, OperandCast cast, int contracted = 1)
    {
        using var operand = Numbers.Engine(Numbers.Tensorwise).Cast(x, cast, contracted);
        return CastStatistics.Of(x, operand);
    }

    /// <summary>To the nearest e4m3, ties to even.</summary>
    private static float Round(float value)
    {
        var step = Math.Pow(2, Math.Max(Math.Floor(Math.Log2(Math.Max(Math.Abs(value), 1e-30))), -6) - 3);
        return (float)Math.Clamp(Math.Round(value / step) * step, -448, 448);
    }
}
