using Titan.Abstractions;
using Titan.Host.Jobs;
using Titan.Host.Planning;
using Titan.Host.Plugins;
using Titan.Quantization.Conversion;
using Titan.Quantization.Matmuls;
using Titan.Training.Models;

namespace Titan.Plugins.Tests;

/// <summary>Plugins that load and then misbehave in a job.</summary>
public sealed class PluginInARunTests : IClassFixture<BuiltFixtures>, IDisposable
{
    private readonly string dump = Directory.CreateTempSubdirectory("titan-run").FullName;

    [Fact]
    public void A_module_with_its_own_autograd_function_trains()
    {
        var (code, output) = Train("TrainsAStep", "acme.trains_a_step", steps: 2);
        Assert.True(code == 0, output);
        Assert.Contains("Training completed", output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_forward_that_throws_ends_the_run_with_the_plugin_and_the_layer_named_and_keeps_the_checkpoint()
    {
        var (code, output) = Train("ForwardThrows", "acme.forward_throws", steps: 4, "--checkpoint.enable", "--checkpoint.interval", "2");
        Assert.Equal((int)ExitCode.Plugin, code);
        Assert.Matches(@"plugin 'forwardthrows' failed in layer layers\.0\.attention\.wq: InvalidOperationException: thrown by forward; earlier checkpoints are kept", output);
        Assert.DoesNotContain("   at ", output, StringComparison.Ordinal);
        Assert.True(Directory.Exists(Path.Combine(dump, "checkpoint", "step-2")), output);
    }

    [Fact]
    public void A_forward_that_throws_on_one_of_two_ranks_ends_both_with_rank_plugin_and_layer_named_and_keeps_the_checkpoint()
    {
        var (code, output) = Processes.Run("/bin/bash", dump, [Path.Combine(StagedPlugin.Repository, "run_train.sh"), .. Arguments("ForwardThrows", "acme.forward_throws", steps: 40, "--checkpoint.enable", "--checkpoint.interval", "2")],
            ("NGPU", "2"), ("ACME_FAILING_RANK", "1"), ("TITAN_PROGRAM", Processes.Titan), ("OMP_NUM_THREADS", "1"), ("OMP_WAIT_POLICY", "PASSIVE"));
        Assert.True(code == (int)ExitCode.Plugin, $"exit code {code}: {output}");
        Assert.Matches(@"rank 1 of 2 .*plugin 'forwardthrows' failed in layer layers\.0\.attention\.wq: InvalidOperationException: thrown by forward; earlier checkpoints are kept", output);
        Assert.True(Directory.Exists(Path.Combine(dump, "checkpoint", "step-2")), output);
    }

    [Fact]
    public void A_backward_that_throws_ends_the_run_with_plugin_and_layer_named()
    {
        var (code, output) = Train("BackwardThrows", "acme.backward_throws", steps: 2);
        Assert.Equal((int)ExitCode.Plugin, code);
        Assert.Contains("plugin 'backwardthrows' failed in layer output: InvalidOperationException: thrown by backward", output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_plugin_that_produces_NaN_stops_the_run_at_its_step_with_the_first_layer_named()
    {
        var (code, output) = Train("ProducesNaN", "acme.produces_nan", steps: 2);
        Assert.Equal((int)ExitCode.RunFailed, code);
        Assert.Contains("step 1: loss NaN", output, StringComparison.Ordinal);
        Assert.Contains("the first layer with a non-finite output is layers.0", output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_plugin_that_keeps_tensors_is_noticed_while_the_run_goes_on()
    {
        var (code, output) = Train("LeaksTensors", "acme.leaks_tensors", steps: 53, "--training.local_batch_size", "1");
        Assert.True(code == 0, output);
        Assert.Contains("about 29 a step: a plugin or model keeps them", output, StringComparison.Ordinal);
        Assert.Contains("Training completed", output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_converter_that_throws_ends_the_job_before_its_first_step()
    {
        var (code, output) = Train("ConvertThrows", "acme.convert_throws", steps: 2);
        Assert.Equal((int)ExitCode.Plugin, code);
        Assert.Contains("plugin 'convertthrows': converter 'acme.convert_throws' failed", output, StringComparison.Ordinal);
        Assert.Contains("InvalidOperationException: thrown by Convert", output, StringComparison.Ordinal);
        Assert.DoesNotContain("Training starts", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("ConvertThrows", "acme.convert_throws", "failed after 2 of 43 layers, the last of them layers.0.attention.wq (256 x 256): InvalidOperationException: thrown by Convert")]
    [InlineData("ConvertsNothing", "acme.converts_nothing", "converted 0 of 43 layers that it reports as converted: output is as it was")]
    [InlineData("ReportsNothing", "acme.reports_nothing", "converted nothing: its report lists no layer")]
    [InlineData("DependencyMissingInMethod", "acme.dependency_missing_in_method", "Could not load file or assembly 'Acme.Dependency")]
    [InlineData("ConstructorThrows", "quantize.linear.acme_constructor_throws", "belongs to plugin 'constructorthrows', which is Malfunctioned: fails while it loads: InvalidOperationException: thrown by the constructor")]
    public void A_plan_fails_as_the_run_would_and_says_whose_fault_it_is(string project, string converter, string message)
    {
        var failure = Assert.Throws<TitanException>(() =>
        {
            var session = JobSession.Open(["--plugins.path", BuiltFixtures.Folder(project), "--model.flavor", "debugmodel", "--model.converters", converter]);
            var plan = Plan.Of(session.Job.Config, session.Models, session.Converters.Choose(session.Job, session.Schema), []);
            ModelBuilder.ThrowIfNothingConverted(plan.Reports, session.Converters.Choose(session.Job, session.Schema));
        });
        Assert.Equal(ExitCode.Plugin, failure.Code);
        Assert.Contains(message, failure.Message, StringComparison.Ordinal);
        Assert.True(failure.Message.Contains(converter, StringComparison.Ordinal));
    }

    [Fact]
    public void A_recipe_whose_device_is_missing_is_refused_with_the_way_out()
    {
        using var catalog = PluginCatalog.Load(PluginOptions.Default with { Path = [BuiltFixtures.Folder("NeedsNewerGpu")] });
        var recipe = catalog.Exports<IQuantizationRecipe, RecipeMetadata>().Single(r => r.PluginId == "needsnewergpu");
        var converter = new QuantizeLinearConverter("acme_needs_newer_gpu", [(recipe.Metadata, recipe.Part)]);
        using var model = new TinyModel();
        var hopper = PluginOutcomeTests.EveryFixture.OnCpu with { Device = new DeviceCapability(true, 9, 0) };

        var refusal = Assert.Throws<TitanException>(() => converter.Convert(new ModelSlots(model), Options(emulate: false), hopper));
        Assert.Equal(ExitCode.Hardware, refusal.Code);
        Assert.Equal("recipe 'acme_needs_newer_gpu/one' needs SM100 or newer, found SM90; set emulate = true to run it anyway, slowly", refusal.Message);
        Assert.Equal(2, converter.Convert(new ModelSlots(model), Options(emulate: true), hopper).Report.Converted);

        static QuantizeOptions Options(bool emulate) => new(new QuantizeLinearOptions { Emulate = emulate }, new Dictionary<string, object> { ["one"] = new NoOptions() });
    }

    public void Dispose() => Directory.Delete(dump, true);

    private (int Code, string Output) Train(string project, string converter, int steps, params string[] more) =>
        Processes.Run(Processes.Titan, dump, ["train", .. Arguments(project, converter, steps, more)]);

    private string[] Arguments(string project, string converter, int steps, params string[] more) =>
    [
        "--plugins.path", BuiltFixtures.Folder(project), "--model.converters", converter, "--model.flavor", "cpu_small", "--training.seq_len", "32", "--training.steps", steps.ToString(),
        "--activation_checkpoint.mode", "none", "--job.dump_folder", dump, .. more,
    ];
}
