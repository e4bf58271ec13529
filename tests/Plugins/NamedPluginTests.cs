using Titan.Abstractions;

namespace Titan.Plugins.Tests;

/// <summary>A job that names a hostile plugin ends with the plugin's name and with no other exit code than that of what happened.</summary>
public sealed class NamedPluginTests : IClassFixture<BuiltFixtures>, IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("titan-named").FullName;

    [Theory]
    [InlineData("ModuleInitialiserExits", "quantize.linear.acme_module_initialiser_exits", "plugin 'moduleinitialiserexits' ended the process with Environment.Exit(0)")]
    [InlineData("ConstructorExits", "acme.constructor_exits", "plugin 'constructorexits' ended the process with Environment.Exit(0)")]
    [InlineData("ConvertExits", "acme.convert_exits", "plugin 'convertexits' ended the process with Environment.Exit(0)")]
    [InlineData("ThreadThrows", "acme.thread_throws", "plugin 'threadthrows' failed: InvalidOperationException: thrown by a thread")]
    [InlineData("ConsoleThrows", "acme.console_throws", "plugin 'consolethrows' failed: InvalidOperationException: thrown by a writer")]
    [InlineData("MessageThrows", "quantize.linear.acme_message_throws", "belongs to plugin 'messagethrows', which is Malfunctioned: fails while it loads: Silent: (its message cannot be read")]
    [InlineData("ModuleInitialiserHangs", "quantize.linear.acme_module_initialiser_hangs", "belongs to plugin 'moduleinitialiserhangs', which is Malfunctioned: did not finish loading within 10 s")]
    [InlineData("OptionsThrow", "acme.options_throw", "belongs to plugin 'optionsthrow', which is Malfunctioned: fails while it loads: InvalidOperationException: thrown by OptionsType")]
    [InlineData("ConstructorThrows", "quantize.linear.acme_constructor_throws", "belongs to plugin 'constructorthrows', which is Malfunctioned: fails while it loads: InvalidOperationException: thrown by the constructor", "--quantize.linear.acme_constructor_throws.emulate")]
    public void A_plugin_that_the_job_names_fails_it_by_name(string project, string converter, string message, params string[] more)
    {
        var (code, output) = Train(project, converter, more);
        Assert.Contains(message, output, StringComparison.Ordinal);
        Assert.True(code == (int)ExitCode.Plugin, $"exit code {code}: {output}");
        Assert.DoesNotContain("Training completed", output, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("NeverEnds", "acme.never_ends", "an exit handler did not return within 5 s and is not waited for")]
    [InlineData("ExitHandlerThrows", "acme.exit_handler_throws", "plugin 'exithandlerthrows' failed: InvalidOperationException: thrown by an exit handler")]
    public void A_run_that_has_finished_ends_well_whatever_a_plugin_left_behind(string project, string converter, string warning)
    {
        var (code, output) = Train(project, converter);
        Assert.Contains("Training completed", output, StringComparison.Ordinal);
        Assert.Contains($"titan: warning: {warning}", output, StringComparison.Ordinal);
        Assert.True(code == 0, $"exit code {code}: {output}");
    }

    [Fact]
    public void Of_all_plugins_the_one_that_ends_the_process_while_it_loads_is_named()
    {
        var (code, output) = Processes.Run(Processes.Titan, folder, ["doctor", "--plugins.path", $"{BuiltFixtures.Folder("TrainsAStep")},{BuiltFixtures.Folder("ModuleInitialiserExits")}"]);
        Assert.Contains("titan: error: plugin 'moduleinitialiserexits' ended the process with Environment.Exit(0) before the command had finished", output, StringComparison.Ordinal);
        Assert.Equal((int)ExitCode.Plugin, code);
    }

    [Theory]
    [InlineData("describe_null", "recipe 'acme_recipe_gaps/describe_null': Describe returned null")]
    [InlineData("matmul_null", "recipe 'acme_recipe_gaps/matmul_null': Describe returned null for grad_input")]
    [InlineData("notes_null", "recipe 'acme_recipe_gaps/notes_null': Notes returned null")]
    [InlineData("filters_null", "recipe 'acme_recipe_gaps/filters_null': DefaultFilterFqns returned null")]
    [InlineData("block_of_none", "recipe 'acme_recipe_gaps/block_of_none': Describe returned blocks without elements (blk0) for the left operand of output")]
    [InlineData("half_cast", "recipe 'acme_recipe_gaps/half_cast': incompatible operand precision for output")]
    [InlineData("describe_hangs", "recipe 'acme_recipe_gaps/describe_hangs': Describe did not return within 10 s")]
    public void An_answer_that_cannot_be_used_is_named_with_plugin_recipe_and_member(string recipe, string message)
    {
        var (code, output) = Plan(recipe);
        Assert.Contains($"plugin 'recipegaps': {message}", output, StringComparison.Ordinal);
        Assert.True(code == (int)ExitCode.Plugin, $"exit code {code}: {output}");
    }

    [Theory]
    [InlineData(0, ExitCode.Plugin)]
    [InlineData(99, ExitCode.Plugin)]
    [InlineData(-1, ExitCode.Plugin)]
    [InlineData((int)ExitCode.Hardware, ExitCode.Hardware)]
    public void An_error_of_a_plugin_never_ends_with_the_exit_code_of_success_nor_with_one_that_means_nothing(int own, ExitCode expected)
    {
        var (code, output) = Plan("exit_code", $"--quantize.linear.acme_recipe_gaps.code={own}");
        Assert.Contains("plugin 'recipegaps': thrown by Describe", output, StringComparison.Ordinal);
        Assert.Equal((int)expected, code);
    }

    [Theory]
    [InlineData("Null", "returned null; expected a tensor")]
    [InlineData("Same", "returned its operand itself, which would be disposed twice; return operand.alias()")]
    [InlineData("Shape", "in BFloat16 for an operand of [")]
    [InlineData("TransposedShape", "in BFloat16 for an operand of [")]
    [InlineData("Dtype", "in Float64 for an operand of [")]
    [InlineData("Disposed", "returned a tensor that is disposed; move it out of its dispose scope")]
    [InlineData("Writes", "wrote to its operand; it must return a tensor of its own")]
    public void A_quantizers_result_that_does_not_fit_is_named_with_plugin_recipe_and_layer(string wrong, string message)
    {
        var (code, output) = Train("RecipeGaps", "quantize.linear.acme_recipe_gaps", "--quantize.linear.acme_recipe_gaps.recipe_name", "quantizer", "--quantize.linear.acme_recipe_gaps.wrong", wrong, "--training.local_batch_size", "2");
        Assert.Contains("layer layers.0.attention.wq: plugin 'recipegaps': recipe 'acme_recipe_gaps/quantizer': quantizer 'acme_wrong' ", output, StringComparison.Ordinal);
        Assert.Contains(message, output, StringComparison.Ordinal);
        Assert.True(code == (int)ExitCode.Plugin, $"exit code {code}: {output}");
    }

    [Theory]
    [InlineData("Null", "forward returned null")]
    [InlineData("Same", "forward returned its input itself, which would be disposed twice; return x.alias()")]
    [InlineData("Shape", "forward returned [8, 32, 255]; expected [8, 32, 256] for an input of [8, 32, 256]")]
    [InlineData("Dtype", "forward returned Float64; expected BFloat16, the dtype of its input")]
    [InlineData("Disposed", "forward returned a tensor that is disposed; move it out of its dispose scope")]
    public void A_layers_result_that_does_not_fit_is_named_with_plugin_layer_and_converter(string result, string message)
    {
        foreach (var recomputed in new[] { "none", "full" })
        {
            var (code, output) = Train("LayerGaps", "acme.layer_gaps", "--acme.layer_gaps.result", result, "--activation_checkpoint.mode", recomputed, "--training.local_batch_size", "8");
            Assert.Contains($"plugin 'layergaps': layer layers.0.attention.wq, put there by converter 'acme.layer_gaps': {message}", output, StringComparison.Ordinal);
            Assert.True(code == (int)ExitCode.Plugin, $"exit code {code}: {output}");
        }
    }

    public void Dispose() => Directory.Delete(folder, true);

    private (int Code, string Output) Train(string project, string converter, params string[] more) => Processes.Run(Processes.Titan, folder,
    [
        "train", "--plugins.path", BuiltFixtures.Folder(project), "--model.converters", converter, "--model.flavor", "cpu_small", "--training.seq_len", "32", "--training.steps", "1",
        "--job.dump_folder", folder, .. more,
    ]);

    private (int Code, string Output) Plan(string recipe, params string[] more) => Processes.Run(Processes.Titan, folder,
    [
        "plan", "--plugins.path", BuiltFixtures.Folder("RecipeGaps"), "--model.flavor", "cpu_small", "--model.converters", "quantize.linear.acme_recipe_gaps",
        "--quantize.linear.acme_recipe_gaps.recipe_name", recipe, .. more,
    ]);
}
