namespace Titan.Training.Tests.Loop;

/// <summary>Who goes on with a checkpoint hears what made it otherwise.</summary>
public sealed class CheckpointOriginTests : TinyRuns
{
    [Fact]
    public void A_changed_and_a_removed_plugin_and_changed_options_and_converters_are_named_and_nothing_else_is()
    {
        Metadata = new() { ["plugin a"] = "1.0 sha256:1", ["plugin b"] = "1.0", ["plugin c"] = "1.0", ["quantize.linear.float8.recipe_name"] = "\"tensorwise\"", ["quantize.linear.float8.emulate"] = "false" };
        _ = Run(Full, "run", stop: 2);
        Assert.Equal([3], Run(Full, "run", stop: 3).Keys);
        Assert.Empty(Warnings);

        Metadata = new() { ["plugin a"] = "1.1 sha256:2", ["plugin c"] = "1.0", ["plugin d"] = "1.0", ["quantize.linear.float8.recipe_name"] = "\"rowwise\"", ["quantize.linear.float8.emulate"] = "false", ["quantize.linear.float8.new"] = "1" };
        var job = Job("run", Full);
        Assert.Equal([4], Run(Full, "run", stop: 4, config: job with { Model = job.Model with { Converters = ["other"] } }).Keys);
        Assert.Equal(
            [
                "the checkpoint was saved with model.converters = none, this run has other",
                "the checkpoint was saved with plugin a 1.0 sha256:1, this run has 1.1 sha256:2",
                "the checkpoint was saved with plugin b 1.0, this run has no such plugin",
                "the checkpoint was saved with quantize.linear.float8.recipe_name = \"tensorwise\", this run has \"rowwise\"",
            ], Warnings);
    }
}
