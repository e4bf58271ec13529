using System.Text.Json;
using System.Text.RegularExpressions;
using Titan.Training.Checkpoints;
using static TorchSharp.torch;

namespace Titan.Plugins.Tests;

/// <summary>From a Hugging Face folder, by adapters that learn conversations, to a Hugging Face folder.</summary>
public sealed partial class FineTuningTests(FineTuningTests.Folders folders) : IClassFixture<FineTuningTests.Folders>
{
    private static readonly string[] Chat = ["--training.dataset", "chat", "--training.dataset_path", Path.Combine(StagedPlugin.Repository, "assets", "sample", "chat.jsonl"), "--model.chat_template", "plain"];

    private static readonly string[] Validates = ["--validation.enable", "--validation.dataset", "chat", "--validation.dataset_path", Chat[3], "--validation.steps", "2", "--validation.local_batch_size", "4", "--validation.seq_len", "64"];

    [Fact]
    public void A_folder_goes_in_conversations_are_learnt_and_a_folder_comes_out_that_has_learnt_them()
    {
        var (tuned, output) = folders.Tuned;
        Assert.Contains($"Loaded the Hugging Face weights {folders.Base}", output, StringComparison.Ordinal);
        var losses = Losses(output);
        Assert.True(losses[^1] < losses[0] - 0.5, string.Join(", ", losses));
        var merged = Path.Combine(tuned, "checkpoint", "step-12");
        // The folder is a model that knows no adapters, and answers as the one with them.
        var plain = folders.Train(1, "plain", 0,
            [.. Chat, .. Validates, "--checkpoint.enable", "--checkpoint.load_only", "--checkpoint.initial_load_in_hf", "--model.hf_assets_path", merged, "--training.steps", "1", "--optimizer.lr", "1e-12"]);
        Assert.DoesNotContain("New parameters", plain.Output, StringComparison.Ordinal);
        Assert.Equal(Validations(output)[^1], Validations(plain.Output)[^1], 1e-4);
        Assert.True(Validations(output)[^1] < Validations(output)[0] - 0.3, string.Join(", ", Validations(output)));
    }

    [Fact]
    public void What_peft_makes_of_the_base_and_the_adapters_are_the_merged_weights()
    {
        using var scope = NewDisposeScope();
        var (tuned, _) = folders.Tuned;
        var (before, after) = (Read(Path.Combine(folders.Base, "model.safetensors")), Read(Path.Combine(tuned, "checkpoint", "step-12", "model.safetensors")));
        var adapters = Read(Path.Combine(tuned, "adapter", "step-12", "adapter_model.safetensors"));
        using var config = JsonDocument.Parse(File.ReadAllText(Path.Combine(tuned, "adapter", "step-12", "adapter_config.json")));
        Assert.Equal(folders.Base, config.RootElement.GetProperty("base_model_name_or_path").GetString());
        Assert.Equal(["q_proj", "v_proj"], config.RootElement.GetProperty("target_modules").EnumerateArray().Select(t => t.GetString()));
        var scale = config.RootElement.GetProperty("lora_alpha").GetDouble() / config.RootElement.GetProperty("r").GetDouble();
        Assert.Equal(before.Keys, after.Keys);
        foreach (var (name, weight) in after)
        {
            var module = $"base_model.model.{name[..^".weight".Length]}";
            var expected = adapters.TryGetValue($"{module}.lora_A.weight", out var a) ? before[name] + scale * adapters[$"{module}.lora_B.weight"].matmul(a) : before[name];
            Assert.True((expected - weight).abs().max().item<float>() <= 1e-6, name);
            Assert.Equal(a is null, weight.equal(before[name]).all().item<bool>());
        }
    }

    [Fact]
    public void A_checkpoint_of_ours_with_adapters_is_converted_to_the_folder_that_the_run_would_have_left()
    {
        var (tuned, _) = folders.Tuned;
        var ours = folders.Train(1, "ours", 0, folders.Tuning.Where(a => a != "--checkpoint.last_save_in_hf"));
        var step = Path.Combine(ours.Folder, "checkpoint", "step-12");
        var to = Path.Combine(ours.Folder, "converted");
        string[] model = ["--model.name", "llama3", "--model.flavor", "cpu_small"];
        Assert.Equal(0, Processes.Run(Processes.Titan, ours.Folder, ["checkpoint", "verify", step, .. model]).Code);
        var (code, output) = Processes.Run(Processes.Titan, ours.Folder, ["checkpoint", "convert", step, to, .. model]);
        Assert.True(code == 0, output);
        using var scope = NewDisposeScope();
        var (expected, actual) = (Read(Path.Combine(tuned, "checkpoint", "step-12", "model.safetensors")), Read(Path.Combine(to, "model.safetensors")));
        Assert.Equal(expected.Keys, actual.Keys);
        foreach (var (name, weight) in expected) Assert.True((weight - actual[name]).abs().max().item<float>() <= 1e-6, name);
    }

    [Theory]
    [InlineData("qwen3", "lora: converted 56 of 56 linears")]
    [InlineData("deepseek_v3", "skipped  router")]
    [InlineData("llama4", "skipped  router")]
    public void Other_families_are_adapted_and_leave_their_folders(string family, string expected)
    {
        var (folder, output) = folders.Train(1, family, 0,
            [.. Chat, "--model.name", family, "--model.flavor", "debugmodel", "--model.converters", "lora", "--training.steps", "2", "--checkpoint.enable", "--checkpoint.last_save_in_hf"]);
        Assert.Contains(expected, output, StringComparison.Ordinal);
        Assert.DoesNotContain("router.gate.lora", output, StringComparison.Ordinal);
        using var scope = NewDisposeScope();
        Assert.NotEmpty(Read(Path.Combine(folder, "adapter", "step-2", "adapter_model.safetensors")));
        Assert.True(File.Exists(Path.Combine(folder, "checkpoint", "step-2", "config.json")));
    }

    [FactWithTools("mpirun.openmpi")]
    public void Ranks_whose_batches_have_other_numbers_of_answers_have_one_ranks_losses_and_folders()
    {
        var one = folders.Tuned;
        var two = folders.Tune(2, "two", "--parallelism.data_parallel_shard_degree", "2", "--training.local_batch_size", "2");
        // One rank runs the same micro-batches one after the other.
        var same = folders.Tune(1, "same", "--training.local_batch_size", "2");
        Assert.Equal(Losses(same.Output), Losses(two.Output));
        Assert.Equal(Losses(one.Output)[0], Losses(two.Output)[0], 1e-4);
        foreach (var file in (string[])[Path.Combine("checkpoint", "step-12", "model.safetensors"), Path.Combine("adapter", "step-12", "adapter_model.safetensors")])
            Assert.Equal(File.ReadAllBytes(Path.Combine(same.Folder, file)), File.ReadAllBytes(Path.Combine(two.Folder, file)));
    }

    [TheoryWithTools("mpirun.openmpi")]
    [InlineData("tensor_parallel_degree")]
    [InlineData("context_parallel_degree")]
    public void Ranks_that_share_sequences_learn_what_one_learns_and_leave_the_same_weights(string degree)
    {
        var (tuned, output) = folders.Tuned;
        var two = folders.Tune(2, degree, $"--parallelism.{degree}", "2");
        Assert.Contains("calls and bytes are as computed beforehand", two.Output, StringComparison.Ordinal);
        foreach (var (one, many) in Losses(output).Zip(Losses(two.Output))) Assert.Equal(one, many, 2e-3);
        using var scope = NewDisposeScope();
        var (expected, actual) = (Read(Path.Combine(tuned, "checkpoint", "step-12", "model.safetensors")), Read(Path.Combine(two.Folder, "checkpoint", "step-12", "model.safetensors")));
        foreach (var (name, weight) in expected) Assert.True((weight - actual[name]).abs().max().item<float>() < 2e-3, name);
    }

    [Fact]
    public void A_run_that_was_killed_reads_the_conversations_on_from_where_it_was()
    {
        var (tuned, output) = folders.Tuned;
        var killed = folders.Train(1, "killed", 137, [.. folders.Tuning, "--checkpoint.interval", "5"], ("TITAN_FAILPOINT", "after-rename:1"));
        var rest = folders.Train(1, "killed", 0, [.. folders.Tuning, "--checkpoint.interval", "5"]);
        Assert.Equal(5, Losses(killed.Output).Count);
        Assert.Equal(Losses(output).Skip(5), Losses(rest.Output));
        var file = Path.Combine("checkpoint", "step-12", "model.safetensors");
        Assert.Equal(File.ReadAllBytes(Path.Combine(tuned, file)), File.ReadAllBytes(Path.Combine(rest.Folder, file)));
    }

    private static List<double> Losses(string output) => [.. StepLine().Matches(output).Select(m => double.Parse(m.Groups[1].Value))];

    private static List<double> Validations(string output) => [.. ValidationLine().Matches(output).Select(m => double.Parse(m.Groups[1].Value))];

    private static SortedDictionary<string, Tensor> Read(string path) => new(SafetensorsFile.ReadHeader(path).ToDictionary(e => e.Key, e => SafetensorsFile.Read(path, e.Value)), StringComparer.Ordinal);

    [GeneratedRegex(@" step: +\d+  loss: +([\d.]+)  grad_norm")]
    private static partial Regex StepLine();

    [GeneratedRegex(@"validate step: +\d+  loss: +([\d.]+)")]
    private static partial Regex ValidationLine();

    /// <summary>A base model and what adapters made of it, each made once.</summary>
    public sealed class Folders : IDisposable
    {
        private readonly string root = Directory.CreateTempSubdirectory("titan-tuning").FullName;
        private readonly Lazy<string> trained;
        private readonly Lazy<(string Folder, string Output)> tuned;

        public Folders()
        {
            trained = new(() => Path.Combine(Train(1, "base", 0, ["--checkpoint.enable", "--checkpoint.last_save_in_hf", "--training.steps", "30", "--optimizer.lr", "3e-3"]).Folder, "checkpoint", "step-30"));
            tuned = new(() => Tune(1, "tuned"));
        }

        /// <summary>The Hugging Face folder of the base model.</summary>
        public string Base => trained.Value;

        /// <summary>A run of adapters that ends with a folder.</summary>
        public (string Folder, string Output) Tuned => tuned.Value;

        public string[] Tuning =>
        [
            .. Chat, .. Validates, "--model.hf_assets_path", Base, "--model.converters", "lora", "--lora.rank", "4", "--lora.target_modules", "wq,wv", "--checkpoint.enable", "--checkpoint.initial_load_in_hf",
            "--checkpoint.last_save_in_hf", "--training.steps", "12", "--optimizer.lr", "5e-3", "--validation.freq", "12",
        ];

        public (string Folder, string Output) Tune(int ranks, string name, params string[] more) => Train(ranks, name, 0, [.. Tuning, .. more]);

        public (string Folder, string Output) Train(int ranks, string name, int expected, IEnumerable<string> more, params (string Name, string Value)[] environment)
        {
            var (code, output) = Processes.Run("/bin/bash", root,
                [
                    Path.Combine(StagedPlugin.Repository, "run_train.sh"), .. more.Contains("--model.flavor") ? Array.Empty<string>() : ["--model.flavor", "cpu_small"], "--training.seq_len", "64", .. more.Contains("--training.local_batch_size") ? Array.Empty<string>() : ["--training.local_batch_size", "4"],
                    "--training.global_batch_size", "4", "--training.mixed_precision_param", "float32", "--metrics.log_freq", "1", "--debug.seed", "3", "--lr_scheduler.warmup_steps", "1", "--lr_scheduler.decay_ratio", "0",
                    "--job.dump_folder", Path.Combine(root, name), .. more,
                ],
                [("NGPU", $"{ranks}"), ("TITAN_PROGRAM", Processes.Titan), ("OMP_NUM_THREADS", "1"), ("OMP_WAIT_POLICY", "PASSIVE"), .. environment]);
            Assert.True(code == expected, $"exit code {code}: {output}");
            return (Path.Combine(root, name), output);
        }

        public void Dispose() => Directory.Delete(root, true);
    }
}
