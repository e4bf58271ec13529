using System.Text.RegularExpressions;
using Titan.Abstractions;

namespace Titan.Plugins.Tests;

/// <summary>A model family of a third party, built against the contract and Titan.Models alone and dropped into a folder.</summary>
public sealed partial class ModelFamilyTests : IClassFixture<BuiltFixtures>, IDisposable
{
    private readonly string dump = Directory.CreateTempSubdirectory("titan-family").FullName;

    [Fact]
    public void A_family_from_a_folder_trains_with_a_float8_recipe_on_layers_with_biases()
    {
        var (code, output) = Train("float8", "--compile.enable", "--model.converters", "quantize.linear.float8");
        Assert.True(code == 0, output);
        Assert.Contains("Model gpt2 tiny size: 239,360 total parameters", output, StringComparison.Ordinal);
        Assert.Contains("converted 12 of 12 linears", output, StringComparison.Ordinal);
        var losses = Losses(output);
        Assert.Equal(4, losses.Count);
        Assert.InRange(losses[1].Loss, 7.5, 7.8);      // ln 2048 = 7.62: nothing is known yet
        Assert.True(losses[4].Loss < losses[1].Loss - 0.1, output);
    }

    [Theory]
    [InlineData("bf16")]
    [InlineData("float8", "--compile.enable", "--model.converters", "quantize.linear.float8", "--quantize.linear.float8.enable_fsdp_float8_all_gather")]
    [InlineData("recomputed", "--activation_checkpoint.mode", "full")]
    public void Two_ranks_of_fsdp_have_the_losses_of_one_and_send_what_was_planned(string name, params string[] more)
    {
        var (code, one) = Train($"{name}-1", more);
        Assert.True(code == 0, one);
        (code, var two) = Train(2, $"{name}-2", more);
        Assert.True(code == 0, two);
        Assert.Equal(4, Losses(one).Count);
        Assert.Equal(Losses(one), Losses(two));
        Assert.Contains("calls and bytes are as computed beforehand", two, StringComparison.Ordinal);
    }

    [Fact]
    public void Two_replicas_have_the_losses_of_one()
    {
        var (code, one) = Train("one");
        Assert.True(code == 0, one);
        (code, var two) = Train(2, "two", "--parallelism.data_parallel_replicate_degree", "2", "--parallelism.data_parallel_shard_degree", "1");
        Assert.True(code == 0, two);
        Assert.Equal(Losses(one), Losses(two));
    }

    [Fact]
    public void A_run_goes_on_from_its_checkpoint_also_with_another_number_of_ranks()
    {
        string[] saves = ["--checkpoint.enable", "--checkpoint.interval", "2", "--checkpoint.no-last_save_model_only"];
        var (code, whole) = Train("run", saves);
        Assert.True(code == 0, whole);
        (code, var again) = Train(2, "run", [.. saves, "--checkpoint.load_step", "2"]);
        Assert.True(code == 0, again);
        Assert.Equal(Losses(whole).Where(l => l.Key > 2), Losses(again));
    }

    [Fact]
    public void Tensor_parallelism_is_refused_with_the_reason()
    {
        var (code, output) = Titan("plan", "--model.flavor", "tiny", "--training.seq_len", "64", "--parallelism.tensor_parallel_degree", "2", "--world", "2");
        Assert.Equal((int)ExitCode.Usage, code);
        Assert.Contains("model GPT-2 has tied embeddings, which tensor parallelism does not serve; set parallelism.tensor_parallel_degree = 1", output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_sequence_that_is_longer_than_the_learned_positions_is_refused()
    {
        var (code, output) = Titan("plan", "--model.flavor", "tiny", "--training.seq_len", "256");
        Assert.Equal((int)ExitCode.Usage, code);
        Assert.Contains("a sequence of 256 tokens: model GPT-2 has learned positions for 128; lower training.seq_len", output, StringComparison.Ordinal);
    }

    [Fact]
    public void The_published_size_has_the_published_number_of_parameters()
    {
        var (code, output) = Titan("plan", "--model.flavor", "124M", "--training.seq_len", "1024");
        Assert.True(code == 0, output);
        Assert.Contains("124,439,808", output, StringComparison.Ordinal);
    }

    [Fact]
    public void Commands_know_families_and_flavors_from_the_manifest()
    {
        var (code, output) = Processes.Run(Processes.Titan, dump, ["plugin", "inspect", "modelgpt2", "--plugins.path", BuiltFixtures.Folder("ModelGpt2")]);
        Assert.True(code == 0, output);
        Assert.Matches(@"model +gpt2 \(prototype\)  GPT-2: learned positions", output);
        Assert.Contains("flavors tiny, 124M", output, StringComparison.Ordinal);
        (code, output) = Titan("config check", "--model.flavor", "tinny");
        Assert.Equal((int)ExitCode.Usage, code);
        Assert.Contains("model.flavor = 'tinny': 'gpt2' has no such flavor; known: tiny, 124M; did you mean 'tiny'?", output, StringComparison.Ordinal);
        (code, output) = Processes.Run(Processes.Titan, dump, ["config", "check", "--model.name", "gtp2", "--plugins.path", BuiltFixtures.Folder("ModelGpt2")]);
        Assert.Equal((int)ExitCode.Usage, code);
        Assert.Matches(@"model.name = 'gtp2': no such model; known: llama3, .*gpt2.*; did you mean 'gpt2'\?", output);
    }

    [Fact]
    public void A_family_whose_plugin_is_not_active_is_refused_with_the_reason()
    {
        var (code, output) = Titan("config check", "--model.flavor", "tiny", "--plugins.disable", "modelgpt2");
        Assert.Equal((int)ExitCode.Plugin, code);
        Assert.Contains("model.name = 'gpt2' belongs to plugin 'modelgpt2', which is Disabled: plugins.disable names it", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("build_throws", "plugin 'modelgaps': model acme_model_gaps/build_throws: Build failed: InvalidOperationException: thrown by Build")]
    [InlineData("build_null", "plugin 'modelgaps': model acme_model_gaps/build_null: Build returned null")]
    [InlineData("miscounts", "plugin 'modelgaps': model acme_model_gaps/miscounts: Build made 141,408 parameters, its Counts say 12")]
    [InlineData("no_block", "plugin 'modelgaps': model acme_model_gaps/no_block: Build made a model without Blocks")]
    [InlineData("narrow_logits", "plugin 'modelgaps': model Wrapped: forward returned logits [4, 64, 2047]; expected logits [4, 64, 2048]")]
    [InlineData("flat_logits", "plugin 'modelgaps': model Wrapped: forward returned logits [256, 2048]; expected logits [4, 64, 2048]")]
    [InlineData("null_logits", "plugin 'modelgaps': model Wrapped: forward returned null; expected logits [4, 64, 2048]")]
    [InlineData("forward_throws", "plugin 'modelgaps' failed: InvalidOperationException: thrown by forward")]
    public void A_model_that_is_not_what_it_should_be_is_an_error_with_the_plugins_name(string flavor, string message)
    {
        var (code, output) = Run(1, "gaps", ["--plugins.path", BuiltFixtures.Folder("ModelGaps"), "--model.name", "acme_model_gaps", "--model.flavor", flavor]);
        Assert.Contains(message, output, StringComparison.Ordinal);
        Assert.True(code == (int)ExitCode.Plugin, $"exit code {code}: {output}");
        Assert.DoesNotContain("   at ", output, StringComparison.Ordinal);
    }

    public void Dispose() => Directory.Delete(dump, true);

    private (int Code, string Output) Titan(string command, params string[] arguments) =>
        Processes.Run(Processes.Titan, dump, [.. command.Split(' '), "--plugins.path", BuiltFixtures.Folder("ModelGpt2"), "--model.name", "gpt2", .. arguments]);

    private (int Code, string Output) Train(string run, params string[] more) => Train(1, run, more);

    private (int Code, string Output) Train(int ranks, string run, params string[] more) =>
        Run(ranks, run, ["--plugins.path", BuiltFixtures.Folder("ModelGpt2"), "--model.name", "gpt2", "--model.flavor", "tiny", .. more]);

    private (int Code, string Output) Run(int ranks, string run, IEnumerable<string> more)
    {
        string[] arguments =
        [
            "--training.seq_len", "64", "--training.local_batch_size", "4", "--training.global_batch_size", "8", "--training.steps", "4", "--metrics.log_freq", "1", "--debug.seed", "3",
            "--optimizer.lr", "2e-3", "--lr_scheduler.warmup_steps", "1", "--job.dump_folder", Path.Combine(dump, run), .. more,
        ];
        return Processes.Run("/bin/bash", dump, [Path.Combine(StagedPlugin.Repository, "run_train.sh"), .. arguments],
            ("NGPU", $"{ranks}"), ("TITAN_PROGRAM", Processes.Titan), ("OMP_NUM_THREADS", "1"), ("OMP_WAIT_POLICY", "PASSIVE"));
    }

    private static SortedDictionary<int, (double Loss, double Norm)> Losses(string output) =>
        new(StepLine().Matches(output).ToDictionary(m => int.Parse(m.Groups[1].Value), m => (double.Parse(m.Groups[2].Value), double.Parse(m.Groups[3].Value))));

    [GeneratedRegex(@"step: +(\d+)  loss: +([\d.]+)  grad_norm: +([\d.]+)")]
    private static partial Regex StepLine();
}
