using System.Security.Cryptography;
using System.Text.RegularExpressions;
using Titan.Abstractions;
using Titan.Training.Checkpoints;
using static TorchSharp.torch;

namespace Titan.Plugins.Tests;

/// <summary>Low-rank adapters: a converter that adds weights to a model, built against the contract alone and found in a folder, as anybody's.</summary>
public sealed partial class LoraTests(LoraTests.Runs runs) : IClassFixture<BuiltFixtures>, IClassFixture<LoraTests.Runs>
{
    private const string Float8 = "quantize.linear.float8,lora";

    [Theory]
    [InlineData("lora")]
    [InlineData(Float8)]
    public void A_base_checkpoint_is_loaded_and_only_what_was_added_is_initialised_trained_and_has_optimizer_states(string converters)
    {
        var (folder, output) = runs.Finished(converters);
        Assert.Contains("New parameters are initialised, for the checkpoint has none: 16 (layers.0.attention.wq.lora_a.weight, ", output, StringComparison.Ordinal);
        var before = Hashes(runs.Base);
        var after = Hashes(folder);
        var added = after.Keys.Except(before.Keys).Order(StringComparer.Ordinal).ToList();
        Assert.Equal(16, added.Count);
        // 4 x 256 and 256 x 4 around wq, 4 x 768 and 256 x 4 around w2 of four blocks.
        const int numbers = 4 * 4 * (256 + 256 + 768 + 256);
        Assert.Matches($@"Trainable: {numbers:N0} of [\d,]+ parameters; [\d,]+ are frozen, without gradients and optimizer states; converters added 16 weights", output);
        // B is zero at first: the model that was loaded.
        Assert.Equal(Losses(runs.Plain)[1].Loss, Losses(runs.Finished(Float8).Output)[1].Loss);
        // Those of B, of one shape, are zero no more.
        Assert.Equal(16, added.Select(name => after[name]).Distinct().Count());
        foreach (var (name, hash) in before) Assert.Equal((name, hash), (name, after[name]));
        string[] states = [.. Hashes(folder, "optimizer.safetensors").Keys.Where(k => k.StartsWith("exp_avg.", StringComparison.Ordinal)).Select(k => k["exp_avg.".Length..])];
        Assert.Equal(added, states);
    }

    [TheoryWithTools("mpirun.openmpi")]
    [InlineData("lora")]
    [InlineData(Float8, "--quantize.linear.float8.enable_fsdp_float8_all_gather", "--activation_checkpoint.mode", "full")]
    public void Two_ranks_of_fsdp_have_the_losses_and_weights_of_one_and_send_what_was_planned(string converters, params string[] more)
    {
        var (folder, one) = runs.Finished(converters);
        var two = runs.Start(2, converters, $"two-{more.Length}", more: more);
        Assert.Equal(Losses(one), Losses(two.Output));
        Assert.Contains("calls and bytes are as computed beforehand", two.Output, StringComparison.Ordinal);
        Assert.Equal(Hashes(folder), Hashes(two.Folder));
        Assert.Contains("Saved the adapters in PEFT's format: ", two.Output, StringComparison.Ordinal);
        Assert.Equal(File.ReadAllBytes(Path.Combine(folder, "adapter", "step-4", "adapter_model.safetensors")), File.ReadAllBytes(Path.Combine(two.Folder, "adapter", "step-4", "adapter_model.safetensors")));
    }

    [TheoryWithTools("mpirun.openmpi")]
    [InlineData("lora", "wq,*.w2")]
    [InlineData("quantize.linear.float8,lora", "layers.1.attention.wo", "--activation_checkpoint.mode", "full")]
    public void Two_ranks_that_split_the_layers_send_what_was_planned_and_learn_what_one_learns(string converters, string targets, params string[] more)
    {
        string[] given = ["--lora.target_modules", targets, "--training.mixed_precision_param", "float32", .. more];
        var one = runs.Start(1, converters, $"whole-layers-{more.Length}", more: given);
        var two = runs.Start(2, converters, $"split-layers-{more.Length}", more: [.. given, "--parallelism.tensor_parallel_degree", "2"]);
        Assert.Contains("calls and bytes are as computed beforehand", two.Output, StringComparison.Ordinal);
        foreach (var (step, (loss, norm)) in Losses(one.Output))
        {
            Assert.Equal(loss, Losses(two.Output)[step].Loss, 1e-3);
            Assert.Equal(norm, Losses(two.Output)[step].Norm, 1e-3);
        }
    }

    [Fact]
    public void A_run_that_was_killed_goes_on_to_the_same_bytes()
    {
        var (folder, whole) = runs.Finished(Float8);
        var killed = runs.Start(1, Float8, "killed", expected: 137, environment: ("TITAN_FAILPOINT", "after-rename:1"));
        Assert.Equal([1, 2], Losses(killed.Output).Keys);
        var rest = runs.Start(1, Float8, "killed");
        Assert.Equal(Losses(whole).Where(l => l.Key > 2), Losses(rest.Output));
        Assert.DoesNotContain("New parameters", rest.Output, StringComparison.Ordinal);
        foreach (var file in (string[])["model.safetensors", "optimizer.safetensors"]) Assert.Equal(Hashes(folder, file), Hashes(rest.Folder, file));
    }

    [Theory]
    [InlineData("lora,quantize.linear.float8", ExitCode.Plugin, "converter 'quantize.linear.float8' would replace layer 'layers.0.attention.wq', around which 'lora' has put a layer; list 'quantize.linear.float8' first in model.converters")]
    [InlineData("lora", ExitCode.Usage, "lora.target_modules = '*.wx': no linear layer has such a name; there are output, layers.0.attention.wq, ", "--lora.target_modules", "wq,*.wx")]
    [InlineData("lora", ExitCode.Usage, "lora.rank = 0", "--lora.rank", "0")]
    public void What_cannot_be_is_refused_with_the_way_out(string converters, ExitCode expected, string message, params string[] more)
    {
        var (code, output) = Processes.Run(Processes.Titan, runs.Root, ["plan", "--model.flavor", "cpu_small", "--model.converters", converters, .. more]);
        Assert.Contains(message, output, StringComparison.Ordinal);
        Assert.Equal((int)expected, code);
        Assert.DoesNotContain("   at ", output, StringComparison.Ordinal);
    }

    [Fact]
    public void The_documentation_shows_the_plugin_that_these_tests_run()
    {
        var page = File.ReadAllText(Path.Combine(StagedPlugin.Repository, "docs", "plugins.md"));
        foreach (var file in (string[])["LoraConverter.cs", "AdaptedLinear.cs"])
            Assert.Contains(File.ReadAllText(Path.Combine(StagedPlugin.Repository, "plugins", "Lora", file)).TrimEnd(), page, StringComparison.Ordinal);
    }

    [FactWithTools("mpirun.openmpi")]
    public void Weights_that_differ_between_ranks_are_found_before_the_first_step_with_the_converters_name()
    {
        var (code, output) = runs.Train(2, "differs",
            ["--plugins.path", BuiltFixtures.Folder("WeightGaps"), "--model.converters", "acme.weight_gaps", "--parallelism.data_parallel_replicate_degree", "2", "--parallelism.data_parallel_shard_degree", "1"]);
        Assert.Contains("parameter 'output.more.weight', added by converter 'acme.weight_gaps', differs between ranks 0 and 1 before the first step; fill it in IModelConversion.Initialize", output, StringComparison.Ordinal);
        Assert.Equal((int)ExitCode.Plugin, code);
        Assert.Empty(Losses(output));
    }

    [Theory]
    [InlineData("data_parallel_shard_degree", "data parallelism over several ranks")]
    [InlineData("tensor_parallel_degree", "tensor parallel")]
    public void A_weight_that_no_layer_gives_out_is_refused_with_the_converters_name(string axis, string parallelism)
    {
        var (code, output) = Processes.Run(Processes.Titan, runs.Root,
        [
            "plan", "--world", "2", $"--parallelism.{axis}", "2", "--model.flavor", "cpu_small", "--plugins.path", BuiltFixtures.Folder("WeightGaps"),
            "--model.converters", "acme.weight_gaps", "--acme.weight_gaps.fault", "ownerless",
        ]);
        Assert.Contains($"{parallelism} cannot share parameter 'output.scale', which converter 'acme.weight_gaps' put there: it belongs to no layer that gives it out", output, StringComparison.Ordinal);
        Assert.Equal((int)ExitCode.Plugin, code);
    }

    private static OpenedCheckpoint Last(string run) => CheckpointStore.OpenFolder(Path.Combine(run, "checkpoint", "step-4"));

    /// <summary>The SHA-256 of each tensor of a run's last checkpoint, of one rank or several.</summary>
    private static SortedDictionary<string, string> Hashes(string run, string file = "model.safetensors")
    {
        using var scope = NewDisposeScope();
        var checkpoint = Last(run);
        var parts = checkpoint.Tensors(file).Select(t => new TensorPart(t.Key, empty([.. t.Value.Shape], t.Value.Type), ShardLayout.Whole([.. t.Value.Shape]))).ToList();
        checkpoint.ReadInto(file, parts);
        return new(parts.ToDictionary(p => p.Name, p => Convert.ToHexString(SHA256.HashData(p.Tensor.bytes.ToArray()))), StringComparer.Ordinal);
    }

    private static SortedDictionary<int, (double Loss, double Norm)> Losses(string output) =>
        new(StepLine().Matches(output).ToDictionary(m => int.Parse(m.Groups[1].Value), m => (double.Parse(m.Groups[2].Value), double.Parse(m.Groups[3].Value))));

    [GeneratedRegex(@"step: +(\d+)  loss: +([\d.]+)  grad_norm: +([\d.]+)")]
    private static partial Regex StepLine();

    /// <summary>Runs of four steps from one base checkpoint, each made once.</summary>
    public sealed class Runs : IDisposable
    {
        private static readonly string[] Saves = ["--checkpoint.enable", "--checkpoint.interval", "2", "--checkpoint.no-last_save_model_only"];

        private readonly Dictionary<string, (string Folder, string Output)> finished = [];
        private readonly Lazy<string> trained, plain;

        public Runs()
        {
            trained = new(() =>
            {
                var (code, output) = Train(1, "base", Saves);
                Assert.True(code == 0, output);
                return Path.Combine(Root, "base");
            });
            plain = new(() => Start(1, "quantize.linear.float8", "plain").Output);
        }

        public string Root { get; } = Directory.CreateTempSubdirectory("titan-lora").FullName;

        /// <summary>The folder of a run without adapters.</summary>
        public string Base => trained.Value;

        /// <summary>What one rank made with these converters, uninterrupted.</summary>
        public (string Folder, string Output) Finished(string converters)
        {
            if (!finished.TryGetValue(converters, out var run)) finished[converters] = run = Start(1, converters, $"whole-{finished.Count}");
            return run;
        }

        /// <summary>The output of a float8 run that goes on without adapters.</summary>
        public string Plain => plain.Value;

        /// <summary>Starts from the base checkpoint, or goes on where this run has one of its own.</summary>
        public (string Folder, string Output) Start(int ranks, string converters, string name, int expected = 0, string[]? more = null, params (string Name, string Value)[] environment)
        {
            string[] lora = !converters.Contains("lora", StringComparison.Ordinal) ? [] : more?.Contains("--lora.target_modules") == true ? ["--lora.rank", "4"] : ["--lora.rank", "4", "--lora.target_modules", "wq,*.w2"];
            var (code, output) = Train(ranks, name,
                [.. Saves, "--checkpoint.initial_load_path", Path.Combine(Base, "checkpoint", "step-4"), "--model.converters", converters, .. lora, .. more ?? []],
                environment);
            Assert.True(code == expected, $"exit code {code}: {output}");
            return (Path.Combine(Root, name), output);
        }

        public (int Code, string Output) Train(int ranks, string name, IEnumerable<string> more, params (string Name, string Value)[] environment) =>
            Processes.Run("/bin/bash", Root,
                [
                    Path.Combine(StagedPlugin.Repository, "run_train.sh"), "--model.flavor", "cpu_small", "--training.seq_len", "32", "--training.local_batch_size", "2", "--training.global_batch_size", "4",
                    "--training.steps", "4", "--metrics.log_freq", "1", "--debug.seed", "3", "--optimizer.lr", "2e-3", "--lr_scheduler.warmup_steps", "1", "--job.dump_folder", Path.Combine(Root, name), .. more,
                ],
                [("NGPU", $"{ranks}"), ("TITAN_PROGRAM", Processes.Titan), ("OMP_NUM_THREADS", "1"), ("OMP_WAIT_POLICY", "PASSIVE"), .. environment]);

        public void Dispose() => Directory.Delete(Root, true);
    }
}
