using System.Text.Json;
using Titan.Abstractions;
using Titan.Host.Jobs;
using Titan.Host.Planning;
using Titan.Host.Plugins;
using Titan.Quantization.Roofline;

namespace Titan.Host.Tests;

public sealed class EstimateTests
{
    private static readonly string[] Llama8B =
        ["--model.flavor", "8B", "--training.local_batch_size", "1", "--training.seq_len", "8192", "--model.converters", "quantize.linear.float8", "--quantize.linear.float8.filter_fqns", "output"];

    [Fact]
    public void The_layers_of_a_job_are_grouped_by_shape_and_fate()
    {
        var estimate = Assert.Single(Of([], Llama8B));
        Assert.Equal(
            [("output", 1), ("layers.*.attention.wq, wo", 64), ("layers.*.attention.wk, wv", 64), ("layers.*.feed_forward.w1, w3", 64), ("layers.*.feed_forward.w2", 32)],
            estimate.Layers.OrderBy(l => l.Fqns == "output" ? 0 : 1).Select(l => (l.Fqns, l.Count)));
        Assert.Equal("skipped (filter_fqns \"output\"); would gain", Assert.Single(estimate.Layers, l => l.Fqns == "output").Verdict);
        Assert.Equal(8192, estimate.Tokens);
    }

    /// <summary>The sums worked out by hand from the layers.</summary>
    [Fact]
    public void The_totals_count_skipped_layers_in_bf16_and_the_others_by_the_recipe()
    {
        var estimate = Assert.Single(Of(["--fused"], Llama8B));
        double Layers(Func<LayerEstimate, double> value) => estimate.Layers.Sum(l => l.Count * value(l));
        Assert.Equal(Layers(l => l.Estimate.Bf16Seconds), estimate.Bf16Seconds, 12);
        Assert.Equal(Layers(l => l.Fqns == "output" ? l.Estimate.Bf16Seconds : l.Estimate.MatmulSeconds + l.Estimate.CastSeconds), estimate.Seconds, 12);
        Assert.Equal(Layers(l => l.Fqns == "output" ? 0 : l.Estimate.CastSeconds), estimate.CastSeconds, 12);
        Assert.Equal(1.484, Math.Round(estimate.SpeedUp, 3));
    }

    [Fact]
    public void Casts_are_fused_when_the_job_says_so_and_the_command_may_say_otherwise()
    {
        Assert.False(Of([], Llama8B)[0].Fused);
        Assert.True(Of([], [.. Llama8B, "--compile.enable"])[0].Fused);
        Assert.False(Of(["--no-fused"], [.. Llama8B, "--compile.enable"])[0].Fused);
        Assert.False(Of([], [.. Llama8B, "--compile.enable", "--compile.components", "loss"])[0].Fused);
    }

    [Fact]
    public void A_job_without_a_converter_is_estimated_with_every_loaded_recipe_and_says_so()
    {
        var estimate = Assert.Single(Of([], ["--model.flavor", "8B"]), e => e.Recipe.Name == "float8/tensorwise");
        Assert.Equal(225, estimate.Layers.Where(l => l.SkippedBy is null).Sum(l => l.Count));
        Assert.Contains(estimate.Notes, n => n.StartsWith("the job has no quantising converter", StringComparison.Ordinal));
    }

    [Fact]
    public void A_recipe_that_cannot_be_described_is_left_out_and_named()
    {
        var session = JobSession.Open(["--model.flavor", "8B"]);
        session.Catalog.Add(new Exported<IQuantizationRecipe, RecipeMetadata>("acme", new RecipeMetadata { Family = "float8", Name = "broken" }, new BrokenRecipe()));
        var warnings = new List<string>();
        var recipes = NamedRecipe.All(session, warnings.Add);
        Assert.Contains(recipes, r => r.Name == "float8/tensorwise");
        Assert.Equal("recipe float8/broken of plugin acme is left out: on purpose", Assert.Single(warnings));
    }

    [Fact]
    public void Every_estimate_says_what_is_not_in_it()
    {
        var notes = Of([], [.. Llama8B, "--activation_checkpoint.mode", "full"])[0].Notes;
        Assert.Contains(notes, n => n.Contains("attention, norms", StringComparison.Ordinal));
        Assert.Contains(notes, n => n.Contains("computed again", StringComparison.Ordinal));
    }

    [Fact]
    public void The_command_prints_a_table_and_the_totals()
    {
        var (exit, output) = TitanProcess.Run(["estimate", .. Llama8B, "--m", "16384", "--gpu", "NVIDIA B200"]);
        Assert.Equal(0, exit);
        Assert.Matches(@"layers\.\*\.feed_forward\.w1, w3 +4096 x 14336 +64 +[\d.]+ +[\d.]+ +[\d.]+ +1\.\d{3}x +gains", output);
        Assert.Contains("M = 16,384 tokens", output, StringComparison.Ordinal);
        Assert.Contains("expected speed-up of the linears: 1.", output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_model_too_small_for_float8_is_told_which_layers_lose()
    {
        var (exit, output) = TitanProcess.Run(["estimate", "--model.flavor", "debugmodel", "--training.seq_len", "2048", "--training.local_batch_size", "1"]);
        Assert.Equal(0, exit);
        Assert.Contains("loses", output, StringComparison.Ordinal);
        Assert.Contains("43 converted layers lose; left in bf16, by filter_fqns, the speed-up would be 1.000x", output, StringComparison.Ordinal);
    }

    [Fact]
    public void Shapes_need_no_job_and_JSON_holds_upstreams_numbers()
    {
        var (exit, output) = TitanProcess.Run(["estimate", "--shapes", "4096x4096x4096,16384x8192x8192,100x64x100", "--json"]);
        Assert.Equal(0, exit);
        using var json = JsonDocument.Parse(output);
        var recipe = json.RootElement.GetProperty("recipes").EnumerateArray().Single(r => r.GetProperty("recipe").GetString() == "float8/tensorwise");
        Assert.Equal([1.257, 1.628], recipe.GetProperty("shapes").EnumerateArray().Take(2).Select(s => Math.Round(s.GetProperty("speed_up").GetDouble(), 3)));
        Assert.Contains("multiples of 16", recipe.GetProperty("shapes")[2].GetProperty("refused").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public void The_JSON_of_a_job_adds_up()
    {
        var (exit, output) = TitanProcess.Run(["estimate", .. Llama8B, "--json"]);
        Assert.Equal(0, exit);
        using var json = JsonDocument.Parse(output);
        var recipe = Assert.Single(json.RootElement.GetProperty("recipes").EnumerateArray());
        Assert.Equal(225, recipe.GetProperty("layers").EnumerateArray().Sum(l => l.GetProperty("count").GetInt32()));
        Assert.True(recipe.GetProperty("totals").GetProperty("speed_up_of_linears").GetDouble() > 1);
    }

    [Fact]
    public void The_GPUs_can_be_listed()
    {
        var (exit, output) = TitanProcess.Run(["estimate", "--gpu", "list"]);
        Assert.Equal(0, exit);
        Assert.All(GpuSpecs.All, g => Assert.Contains(g.Name, output, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("did you mean 'H200'", "--gpu", "H20O")]
    [InlineData("expected MxKxN", "--shapes", "4096x4096")]
    [InlineData("'4o96' is not a size", "--shapes", "4096x4o96x4096")]
    [InlineData("'0' is not a size", "--shapes", "0x16x16")]
    [InlineData("expected MxKxN", "--shapes", "4096x4096x4096,")]
    [InlineData("'-5' is not a size", "--m", "-5")]
    [InlineData("--m has no effect", "--shapes", "16x16x16", "--m", "4")]
    [InlineData("'--training.steps' has no effect", "--shapes", "16x16x16", "--training.steps", "4")]
    [InlineData("exclude each other", "--fused", "--no-fused")]
    [InlineData("did you mean '--shapes'", "--shape", "16x16x16")]
    [InlineData("did you mean 'training.steps'", "--training.stepz", "3")]
    public void A_mistake_is_named_with_the_way_out(string text, params string[] args)
    {
        var (exit, output) = TitanProcess.Run(["estimate", .. args]);
        Assert.Contains(text, output, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", output, StringComparison.Ordinal);
        Assert.Equal((int)ExitCode.Usage, exit);
    }

    private sealed class BrokenRecipe : QuantizationRecipe<NoOptions>
    {
        public override LinearRecipe Describe(NoOptions options) => throw new InvalidOperationException("on purpose");
    }

    private static IReadOnlyList<Estimate> Of(string[] own, string[] job) =>
        Estimate.Of(JobSession.Open(job), EstimateRequest.Of("H100", own.Contains("--fused"), own.Contains("--no-fused"), null), _ => { });
}
