using Titan.Abstractions;
using Titan.Benchmarks;

namespace Titan.Host.Tests.Bench;

/// <summary>Each benchmark writes what it measured; no test looks at a time.</summary>
public sealed class BenchTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("titan-bench").FullName;

    public void Dispose() => Directory.Delete(folder, true);

    [Fact]
    public void Kernels_are_written_with_command_hardware_versions_and_method()
    {
        var text = Bench("kernels", "--sizes", "32K", "--matmuls", "32x32x32", "--repetitions", "1");
        Assert.Matches("```bash\n./titan bench kernels --sizes 32K .*\n```", text);
        foreach (var head in new[] { "- hardware: ", "- versions: titan ", "TorchSharp 0.", "titan.float8-tensorwise", "- measured: 2 warm-ups, then 1 repetition", "; on cpu; ", "| copy, GB/s | fused / copy |" }) Assert.Contains(head, text, StringComparison.OrdinalIgnoreCase);
        foreach (var kernel in KernelCase.All) Assert.Contains($"| {kernel.Name} | 32K |", text, StringComparison.Ordinal);
        Assert.Contains("| 32x32x32 |", text, StringComparison.Ordinal);
        Assert.Equal(KernelCase.All.Count + 1, File.ReadAllLines(Assert.Single(Directory.GetFiles(folder, "*_fused-kernels.csv"))).Length);
    }

    [Fact]
    public void Linear_writes_a_row_for_each_shape_and_recipe_and_a_heat_map_for_each_recipe()
    {
        var text = Bench("linear", "--shapes", "32x64x64,32x64x128,32x40x64", "--recipe", "tensorwise,rowwise", "--repetitions", "1", "--gpu", "H100");
        foreach (var cell in new[] { "| 32 | 64 | 64 | float8/tensorwise |", "| 32 | 64 | 128 | float8/rowwise |", "roofline H100", "skipped: K and N must be multiples of 16" }) Assert.Contains(cell, text, StringComparison.Ordinal);
        Assert.Equal(7, File.ReadAllLines(Assert.Single(Directory.GetFiles(folder, "*.csv"))).Length);
        var images = Directory.GetFiles(folder, "*.png");
        Assert.Equal(2, images.Length);
        Assert.All(images, i => Assert.True(File.ReadAllBytes(i).AsSpan().StartsWith((byte[])[0x89, (byte)'P', (byte)'N', (byte)'G'])));
    }

    [Fact]
    public void A_shape_that_would_not_fit_into_memory_is_listed_with_the_reason()
    {
        var text = Bench("linear", "--shapes", "32x64x64,4096x4096x4096", "--recipe", "tensorwise", "--repetitions", "1", "--memory", "0.1");
        Assert.Contains("skipped: needs about 0.9 GiB of memory, 0.1 may be used (--memory)", text, StringComparison.Ordinal);
        Assert.Contains("1 of 2 shapes were skipped", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Experts_are_written_with_both_loops_beside_the_grouped_product_of_every_recipe()
    {
        var text = Bench("grouped", "--experts", "2", "--dim", "64", "--hidden", "96", "--tokens", "48", "--repetitions", "1");
        foreach (var product in new[] { "output", "grad_input", "grad_weight" })
            foreach (var recipe in new[] { "bf16", "float8/rowwise", "mx/mxfp8" }) Assert.Contains($"| {recipe} | {product} |", text, StringComparison.Ordinal);
        // Of a gradient in high precision there is no product of float8.
        Assert.DoesNotContain("| mx/mxfp8_wgrad_with_hp | grad_weight |", text, StringComparison.Ordinal);
        Assert.Contains("2 experts of 64 x 96, 48 tokens to 2 each; rows of the experts: 96, 32.", text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_step_is_run_by_every_arm_with_comparable_losses()
    {
        var text = Bench("step", "--dim", "64", "--layers", "1", "--heads", "2", "--kv-heads", "1", "--ffn", "96", "--vocab", "128", "--seq", "32", "--recipe", "tensorwise", "--rounds", "1", "--repetitions", "1");
        Assert.Contains("dim 64, 1 layers, 2 heads, 1 KV heads, ffn 96, vocabulary 128", text, StringComparison.Ordinal);
        var losses = text.Split('\n').Where(l => l.StartsWith("| bf16", StringComparison.Ordinal) || l.StartsWith("| float8", StringComparison.Ordinal)).Select(l => double.Parse(l.Split('|')[^3])).ToList();
        Assert.Equal(3, losses.Count);
        // Random tokens: close to ln(128), and float8 close to bf16.
        Assert.All(losses, l => Assert.InRange(l, 4.5, 5.8));
        Assert.InRange(losses[2], losses[1] - 0.05, losses[1] + 0.05);
    }

    [Theory]
    [InlineData(ExitCode.Usage, "did you mean '--repetitions'", "kernels", "--repetition", "1")]
    [InlineData(ExitCode.Usage, "multiple of 32768", "kernels", "--sizes", "40K")]
    [InlineData(ExitCode.Usage, "multiple of 131072 (128K), 32 rows of 4096 columns", "kernels", "--sizes", "64K", "--columns", "4096")]
    [InlineData(ExitCode.Usage, "--columns '1500': expected a multiple of 1024", "kernels", "--columns", "1500")]
    [InlineData(ExitCode.Usage, "--dim '40', --hidden '3584': expected multiples of 32", "grouped", "--dim", "40")]
    [InlineData(ExitCode.Usage, "--sizes 'many'", "kernels", "--sizes", "many")]
    [InlineData(ExitCode.Usage, "known: amax bf16", "kernels", "--kernels", "amaxx")]
    [InlineData(ExitCode.Usage, "--matmuls", "kernels", "--matmuls", "1x2")]
    [InlineData(ExitCode.Usage, "Required command was not provided")]
    [InlineData(ExitCode.Data, "cannot be written", "kernels", "--out", "/proc/titan")]
    [InlineData(ExitCode.Usage, "known: small, pow2", "linear", "--generator", "pow3")]
    [InlineData(ExitCode.Usage, "exclude each other", "linear", "--generator", "pow2", "--shapes", "32x32x32")]
    [InlineData(ExitCode.Usage, "float8/rowwise", "linear", "--recipe", "rowwize")]
    [InlineData(ExitCode.Usage, "known: float8, mx", "linear", "--family", "float9")]
    [InlineData(ExitCode.Usage, "--gpu 'H1000'", "linear", "--gpu", "H1000")]
    [InlineData(ExitCode.Usage, "expected a positive number", "linear", "--minutes", "0")]
    [InlineData(ExitCode.Usage, "even number of dimensions for each head", "step", "--dim", "100")]
    [InlineData(ExitCode.Usage, "no arm is of the family 'mx'", "step", "--recipe", "tensorwise", "--quantize.linear.mx.filter_fqns", "output")]
    [InlineData(ExitCode.Usage, "choose recipes with --recipe", "step", "--model.converters", "quantize.linear.float8")]
    [InlineData(ExitCode.Usage, "K and N must be multiples of 16", "step", "--dim", "8", "--heads", "1", "--kv-heads", "1", "--ffn", "8", "--vocab", "8", "--layers", "1", "--seq", "8", "--rounds", "1")]
    public void A_mistake_is_named_with_the_way_out_and_leaves_no_file(ExitCode code, string text, params string[] args)
    {
        var output = args.Length == 0 || args.Contains("--out") ? [] : new[] { "--out", folder };
        var (exit, says) = TitanProcess.Run(["bench", .. args, .. output]);
        Assert.Contains(text, says, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", says, StringComparison.Ordinal);
        Assert.Equal((int)code, exit);
        Assert.Empty(Directory.GetFiles(folder));
    }

    private string Bench(params string[] args)
    {
        var (exit, output) = TitanProcess.Run(["bench", .. args, "--out", folder]);
        Assert.True(exit == 0, output);
        return File.ReadAllText(Assert.Single(Directory.GetFiles(folder, "*.md")));
    }
}
