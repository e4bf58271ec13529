namespace Titan.Host.Tests;

/// <summary>A run that goes on with other options of a converter says so.</summary>
public sealed class ChangedOptionsTests
{
    [Fact]
    public void Another_recipe_is_warned_of_when_a_run_is_resumed_and_the_same_is_not()
    {
        var folder = Directory.CreateTempSubdirectory("titan-options").FullName;
        try
        {
            var (code, output) = Run(1, "tensorwise");
            Assert.True(code == 0, output);
            (code, output) = Run(2, "tensorwise");
            Assert.True(code == 0, output);
            Assert.DoesNotContain("was saved with", output, StringComparison.Ordinal);
            (code, output) = Run(3, "rowwise");
            Assert.True(code == 0, output);
            Assert.Contains("the checkpoint was saved with quantize.linear.float8.recipe_name = \"tensorwise\", this run has \"rowwise\"", output, StringComparison.Ordinal);

            (int, string) Run(int steps, string recipe) => TitanProcess.Run(TitanProcess.SmallJob(folder, steps,
                "--checkpoint.enable", "--checkpoint.no-last_save_model_only", "--model.converters", "quantize.linear.float8", "--quantize.linear.float8.recipe_name", recipe));
        }
        finally
        {
            Directory.Delete(folder, true);
        }
    }
}
