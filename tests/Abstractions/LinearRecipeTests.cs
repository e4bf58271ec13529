namespace Titan.Abstractions.Tests;

public sealed class LinearRecipeTests
{
    private static readonly MatmulRecipe Float8 = new(E4M3.Tensorwise, E4M3.Tensorwise);

    private static readonly MatmulRecipe Backward = new(E5M2.Tensorwise, E4M3.Tensorwise);

    [Theory]
    [InlineData(0, "output"), InlineData(1, "grad_input"), InlineData(2, "grad_weight")]
    public void A_matmul_of_which_one_operand_alone_is_cast_is_refused(int which, string name)
    {
        foreach (var half in new[] { new MatmulRecipe(E4M3.Tensorwise, OperandCast.None), new MatmulRecipe(OperandCast.None, E4M3.Tensorwise) })
        {
            MatmulRecipe[] matmuls = [MatmulRecipe.HighPrecision, MatmulRecipe.HighPrecision, MatmulRecipe.HighPrecision];
            matmuls[which] = half;
            Refused(new LinearRecipe(matmuls[0], matmuls[1], matmuls[2]), $"incompatible operand precision for {name}: {half.Left} · {half.Right}");
        }
    }

    [Fact]
    public void A_tensor_that_is_cast_to_two_formats_is_refused_by_its_name()
    {
        var e5m2 = new MatmulRecipe(E5M2.Tensorwise, E5M2.Tensorwise);
        Refused(new LinearRecipe(Float8, Backward, e5m2), "input must be cast to the same dtype in both matmuls it is used in, got e4m3 and e5m2");
        Refused(new LinearRecipe(Float8, e5m2, Backward), "weight must be cast to the same dtype in both matmuls it is used in, got e4m3 and e5m2");
        Refused(new LinearRecipe(Float8, Float8, Backward), "grad_output must be cast to the same dtype in both matmuls it is used in, got e4m3 and e5m2");
    }

    [Fact]
    public void A_use_that_stays_in_high_precision_contradicts_none_and_scales_may_differ()
    {
        new LinearRecipe(Float8, Backward, Backward).Validate("a");
        new LinearRecipe(Float8, Backward, MatmulRecipe.HighPrecision).Validate("b");
        new LinearRecipe(MatmulRecipe.HighPrecision, MatmulRecipe.HighPrecision, MatmulRecipe.HighPrecision).Validate("c");
        new LinearRecipe(new(E4M3.Rowwise, E4M3.Rowwise), Float8, new(E4M3.Tensorwise, E4M3.Rowwise)).Validate("d");
    }

    [Fact]
    public void A_recipe_shows_three_casts_and_more_where_the_second_use_differs()
    {
        Assert.Equal("i:dyn_ten_e4m3,w:dyn_ten_e4m3,go:dyn_ten_e5m2", new LinearRecipe(Float8, Backward, Backward).ToString());
        Assert.Equal("i:dyn_ten_e4m3,w:dyn_ten_e4m3,go:dyn_ten_e5m2,i_gw:hp,go_gw:hp", new LinearRecipe(Float8, Backward, MatmulRecipe.HighPrecision).ToString());
        Assert.Equal("i:dyn_axs_e4m3,w:dyn_axs_e4m3,go:dyn_axs_e4m3,w_gi:dyn_ten_e4m3",
            new LinearRecipe(new(E4M3.Rowwise, E4M3.Rowwise), new(E4M3.Rowwise, E4M3.Tensorwise), new(E4M3.Rowwise, E4M3.Rowwise)).ToString());
    }

    private static void Refused(LinearRecipe recipe, string because)
    {
        var e = Assert.Throws<TitanException>(() => recipe.Validate("acme"));
        Assert.Equal(ExitCode.Plugin, e.Code);
        Assert.Equal($"recipe 'acme': {because}", e.Message.Split(';')[0]);
    }
}
