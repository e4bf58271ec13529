using Titan.Abstractions;

namespace Titan.Host.Tests;

/// <summary>Each mistake gets one clear line, the exit code of its kind, and no stack trace.</summary>
public sealed class BadInputTests
{
    [Theory]
    [InlineData(ExitCode.Usage, "did you mean 'training.steps'", "--training.stepz", "3")]
    [InlineData(ExitCode.Usage, "expected a whole number", "--training.steps", "many")]
    [InlineData(ExitCode.Usage, "quantize.linear.float8", "--model.converters", "quantize.linear.float9")]
    [InlineData(ExitCode.Usage, "known: tensorwise", "--model.converters", "quantize.linear.float8", "--quantize.linear.float8.recipe_name", "tensorwize")]
    [InlineData(ExitCode.Usage, "matches no layer", "--model.converters", "quantize.linear.float8", "--quantize.linear.float8.filter_fqns", "outptu")]
    [InlineData(ExitCode.Usage, "known: titan_sample", "--training.dataset", "c5")]
    [InlineData(ExitCode.Data, "set training.dataset_path", "--training.dataset", "c4")]
    [InlineData(ExitCode.Usage, "has no such flavor", "--model.flavor", "9B")]
    [InlineData(ExitCode.Usage, "does not exist", "--job.config_file", "no_such.toml")]
    [InlineData(ExitCode.Data, "does not exist", "--training.dataset", "text", "--training.dataset_path", "/no/such/file.txt")]
    [InlineData(ExitCode.Data, "tokenizer.json", "--model.hf_assets_path", "/no/such/folder")]
    [InlineData(ExitCode.Usage, "takes no value", "--compile.enable=False")]
    [InlineData(ExitCode.Usage, "NGPU=2", "--parallelism.tensor_parallel_degree", "2")]
    [InlineData(ExitCode.Usage, "no loaded plugin serves [quantize.linear.mx]", "--quantize.linear.mx.recipe_name", "mxfp8_cublas")]
    [InlineData(ExitCode.Plugin, "does not exist", "--plugins.path", "/no/such/folder")]
    [InlineData(ExitCode.Data, "cannot be written", "--job.dump_folder", "/proc/titan")]
    public void A_mistake_in_a_job_is_named_with_the_way_out(ExitCode code, string text, params string[] args)
    {
        var folder = Directory.CreateTempSubdirectory("titan-bad").FullName;
        try
        {
            var dump = args.Contains("--job.dump_folder") ? [] : new[] { "--job.dump_folder", folder };
            var (exit, output) = TitanProcess.Run(["train", "--training.steps", "1", .. dump, .. args]);
            Assert.Contains(text, output, StringComparison.Ordinal);
            Assert.DoesNotContain("   at ", output, StringComparison.Ordinal);
            Assert.Equal((int)code, exit);
        }
        finally
        {
            Directory.Delete(folder, true);
        }
    }
}
