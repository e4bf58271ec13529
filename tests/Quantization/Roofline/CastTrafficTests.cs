using Titan.Quantization.Roofline;

namespace Titan.Quantization.Tests.Roofline;

public sealed class CastTrafficTests
{
    private const long N = 4096;

    /// <summary>Bytes per kernel in units of n: of input and grad_output alone, of the same fused with the operation before, of the weight.</summary>
    [Theory]
    [InlineData("tensorwise", new[] { 2, 0, 4 }, new[] { 0, 0, 4 }, new[] { 2, 0, 3, 3 })]
    [InlineData("rowwise", new[] { 5, 3 }, new[] { 3, 3 }, new[] { 3, 4, 3 })]
    [InlineData("rowwise_with_gw_hp", new[] { 3 }, new[] { 1 }, new[] { 3, 0, 3 })]
    [InlineData("mxfp8", new[] { 3, 3 }, new[] { 1, 3 }, new[] { 3, 3 })]
    [InlineData("mxfp8 with 32x32 weights", new[] { 3, 3 }, new[] { 1, 3 }, new[] { 3, 2 })]
    public void The_kernels_of_upstreams_recipes_follow_from_their_data(string recipe, int[] activation, int[] fused, int[] weight) =>
        Check(recipe, activation, fused, weight);

    [Theory]
    [InlineData("nothing", new int[0], new int[0], new int[0])]
    [InlineData("custom", new[] { 4, 4 }, new[] { 2, 4 }, new[] { 4, 4 })]
    [InlineData("only grad_weight, tensorwise", new[] { 2, 0, 3 }, new[] { 0, 0, 3 }, new int[0])]
    [InlineData("only grad_weight, rowwise", new[] { 4, 3 }, new[] { 2, 3 }, new int[0])]
    [InlineData("tensorwise, grad_weight rowwise", new[] { 2, 0, 5, 3 }, new[] { 0, 0, 5, 3 }, new[] { 2, 0, 3, 3 })]
    public void The_kernels_of_other_recipes_do_too(string recipe, int[] activation, int[] fused, int[] weight) => Check(recipe, activation, fused, weight);

    private static void Check(string name, int[] activation, int[] fused, int[] weight)
    {
        var recipe = KnownRecipes.Of(name);
        Assert.Equal(Bytes(activation), CastTraffic.OfInput(recipe, N, fused: false));
        Assert.Equal(Bytes(activation), CastTraffic.OfGradOutput(recipe, N, fused: false));
        Assert.Equal(Bytes(fused), CastTraffic.OfInput(recipe, N, fused: true));
        Assert.Equal(Bytes(fused), CastTraffic.OfGradOutput(recipe, N, fused: true));
        Assert.Equal(Bytes(weight), CastTraffic.OfWeight(recipe, N));
    }

    private static IEnumerable<long> Bytes(int[] units) => units.Select(u => u * N);
}
