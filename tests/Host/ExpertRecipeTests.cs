using System.Globalization;
using System.Text.RegularExpressions;
using Titan.Tests.Kit;

namespace Titan.Host.Tests;

/// <summary>A small mixture of experts in float8 and MX, as a process.</summary>
public sealed partial class ExpertRecipeTests
{
    private const int Steps = 40;

    [Fact]
    public void A_mixture_trains_in_float8_and_MX_as_in_bf16_where_everything_is_computed_again()
    {
        var reference = Train();
        foreach (var recipe in new[] { "float8", "mx" })
        {
            var trained = Train($"--model.converters=quantize.grouped_mm.{recipe}", $"--quantize.grouped_mm.{recipe}.fqns=experts", "--metrics.float8_stats_freq=20");
            Assert.InRange(Loss(trained), 0.97 * Loss(reference), 1.03 * Loss(reference));
            Assert.NotEqual(Loss(reference), Loss(trained));
            Assert.Contains("converted 12 of 12 weights", trained, StringComparison.Ordinal);
            Assert.Contains("layers.*.moe.experts.w1 (4)  8 x 128 x 128", trained, StringComparison.Ordinal);
            // Each of 12 weights in forward, again in backward, and for both gradients.
            Assert.Contains("float8_matmuls: 48", trained, StringComparison.Ordinal);
            Assert.Contains("float8 stats step: 20  72 casts of 12 layers", trained, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("quantize.grouped_mm.float8.fqns is empty")]
    [InlineData("fqns entry 'expert_s' matches no layer of experts", "--quantize.grouped_mm.float8.fqns=expert_s")]
    [InlineData("recipe 'float8/tensorwise' cannot serve experts", "--quantize.grouped_mm.float8.fqns=experts", "--quantize.grouped_mm.float8.recipe_name=tensorwise")]
    public void What_would_convert_nothing_ends_before_the_first_step(string says, params string[] flags)
    {
        using var folder = new TestFolder();
        var (code, output) = TitanProcess.Run(Job(folder.Path, ["--model.converters=quantize.grouped_mm.float8", .. flags]));
        Assert.Equal(2, code);
        Assert.Contains(says, output, StringComparison.Ordinal);
        Assert.DoesNotContain("step:", output, StringComparison.Ordinal);
    }

    private static string Train(params string[] flags)
    {
        using var folder = new TestFolder();
        var (code, output) = TitanProcess.Run(Job(folder.Path, flags));
        Assert.True(code == 0, output);
        return output;
    }

    private static string[] Job(string folder, string[] flags) => TitanProcess.SmallJob(folder, Steps,
        ["--model.name=qwen3", "--model.flavor=cpu_small_moe", "--training.seq_len=64", "--training.local_batch_size=4", "--optimizer.lr=3e-3", "--activation_checkpoint.mode=full", "--compile.enable", .. flags]);

    private static double Loss(string output) => double.Parse(Last().Match(output).Groups[1].Value, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"step: 40  loss: +([\d.]+)")]
    private static partial Regex Last();
}
