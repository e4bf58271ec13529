using Titan.Abstractions;
using Titan.Quantization.Roofline;

namespace Titan.Quantization.Tests.Roofline;

/// <summary>torchao's roofline, reproduced to the printed digits.</summary>
public sealed class RooflineModelTests
{
    [Theory]
    [InlineData("H100", "tensorwise", false, 1.257, 1.455, 1.628, 1.751)]
    [InlineData("H100", "tensorwise", true, 1.341, 1.547, 1.706, 1.796)]
    [InlineData("H100", "rowwise", false, 1.150, 1.349, 1.541, 1.689)]
    [InlineData("H100", "rowwise", true, 1.231, 1.431, 1.611, 1.730)]
    [InlineData("H100", "rowwise_with_gw_hp", false, 1.189, 1.292, 1.369, 1.410)]
    [InlineData("H100", "rowwise_with_gw_hp", true, 1.276, 1.367, 1.424, 1.439)]
    [InlineData("B200", "tensorwise", false, 1.374, 1.568, 1.717, 1.815)]
    [InlineData("B200", "tensorwise", true, 1.420, 1.634, 1.775, 1.848)]
    [InlineData("B200", "rowwise", false, 1.311, 1.488, 1.650, 1.768)]
    [InlineData("B200", "rowwise", true, 1.384, 1.559, 1.707, 1.800)]
    [InlineData("B200", "mxfp8", false, 1.466, 1.609, 1.736, 1.833)]
    [InlineData("B200", "mxfp8", true, 1.559, 1.692, 1.800, 1.868)]
    [InlineData("B200", "mxfp8 with 32x32 weights", false, 1.488, 1.622, 1.744, 1.842)]
    [InlineData("B200", "mxfp8 with 32x32 weights", true, 1.583, 1.707, 1.808, 1.877)]
    public void The_speed_ups_are_upstreams(string gpu, string recipe, bool fused, double first, double second, double third, double fourth)
    {
        Assert.Equal(first, SpeedUp(4096, 4096, 4096));
        Assert.Equal(second, SpeedUp(8192, 4096, 8192));
        Assert.Equal(third, SpeedUp(16384, 8192, 8192));
        Assert.Equal(fourth, SpeedUp(16384, 16384, 16384));

        double SpeedUp(long m, long k, long n) => Math.Round(Estimate(gpu, recipe, m, k, n, fused).SpeedUp, 3);
    }

    [Fact]
    public void The_parts_of_an_estimate_are_upstreams()
    {
        var estimate = Estimate("H100", "tensorwise", 16384, 8192, 8192, fused: true);
        Assert.Equal(8551.85, Math.Round(estimate.Bf16Seconds * 1e6, 2));
        Assert.Equal(4273.77, Math.Round(estimate.MatmulSeconds * 1e6, 2));
        Assert.Equal(739.44, Math.Round(estimate.CastSeconds * 1e6, 2));
        Assert.Equal(1.7059, Math.Round(estimate.SpeedUp, 4));
        Assert.True(estimate.Gains);
    }

    [Fact]
    public void A_small_layer_is_bound_by_launches_and_loses()
    {
        var estimate = Estimate("H100", "tensorwise", 1024, 1024, 1024, fused: false);
        Assert.Equal(0.329, Math.Round(estimate.SpeedUp, 3));
        Assert.False(estimate.Gains);
    }

    [Fact]
    public void A_recipe_that_casts_nothing_costs_what_bf16_costs() => Assert.Equal(1, Estimate("H200", "nothing", 8192, 4096, 4096, fused: false).SpeedUp);

    [Fact]
    public void A_recipe_with_custom_casts_never_gains_and_says_why()
    {
        Assert.False(Estimate("H100", "custom", 16384, 16384, 16384, fused: true).Gains);
        var notes = RooflineModel.Notes(KnownRecipes.Of("custom")).ToList();
        Assert.Equal(4, notes.Count);
        Assert.Contains("custom casts (halve)", notes[3], StringComparison.Ordinal);
    }

    [Fact]
    public void A_matmul_that_stays_in_high_precision_is_noted() =>
        Assert.StartsWith("grad_weight", Assert.Single(RooflineModel.Notes(KnownRecipes.Of("rowwise_with_gw_hp"))), StringComparison.Ordinal);

    [Theory]
    [InlineData("tensorwise")]
    [InlineData("rowwise")]
    [InlineData("rowwise_with_gw_hp")]
    [InlineData("mxfp8")]
    public void Fusing_a_read_never_costs_time_and_every_GPU_has_an_estimate(string recipe)
    {
        foreach (var gpu in GpuSpecs.All)
            foreach (var size in new[] { 256, 1024, 4096, 16384 })
                Assert.True(Estimate(gpu.Name, recipe, size, size, size, true).SpeedUp >= Estimate(gpu.Name, recipe, size, size, size, false).SpeedUp);
    }

    [Theory]
    [InlineData("h100", "H100")]
    [InlineData("NVIDIA H100", "H100")]
    [InlineData("H100 SXM", "H100-SXM")]
    [InlineData("NVIDIA GeForce RTX 5090", "RTX5090")]
    [InlineData("AMD Instinct MI300X", "MI300X")]
    [InlineData("H10", null)]
    public void A_GPU_is_found_by_its_short_or_its_full_name(string given, string? name) => Assert.Equal(name, GpuSpecs.Find(given)?.Name);

    private static LinearEstimate Estimate(string gpu, string recipe, long m, long k, long n, bool fused) =>
        RooflineModel.Estimate(GpuSpecs.Find(gpu)!, KnownRecipes.Of(recipe), m, new LinearShape(k, n), fused);
}
