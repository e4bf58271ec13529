using System.Text.Json;

namespace Titan.Host.Tests;

/// <summary><c>titan checkpoint</c> as a process: what it prints, what it refuses, and what a kill leaves.</summary>
public sealed class CheckpointCommandTests(CheckpointCommandTests.Trained trained) : IClassFixture<CheckpointCommandTests.Trained>, IDisposable
{
    private readonly TestFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void A_checkpoint_goes_to_hugging_face_and_back_without_naming_its_model()
    {
        var (code, output) = TitanProcess.Run(["checkpoint", "convert", trained.Step(1), folder.At("theirs"), "--model.hf_assets_path", trained.Assets]);
        Assert.True(code == 0, output);
        Assert.Contains($"{folder.At("theirs")}: a Hugging Face folder of llama3/cpu_small, ", output, StringComparison.Ordinal);
        Assert.True(File.Exists(folder.At("theirs", "tokenizer.json")));
        File.Delete(folder.At("theirs", "manifest.json"));
        // A folder of somebody else's: config.json tells.
        Assert.Equal(0, TitanProcess.Run(["checkpoint", "convert", folder.At("theirs"), folder.At("step-0")]).ExitCode);
        Assert.Equal(File.ReadAllBytes(Path.Combine(trained.Step(1), "model.safetensors")), File.ReadAllBytes(folder.At("step-0", "model.safetensors")));
        Assert.Equal(0, TitanProcess.Run(["checkpoint", "verify", folder.At("theirs"), "--model.flavor", "cpu_small"]).ExitCode);
    }

    [Fact]
    public void A_run_starts_from_what_was_converted_both_ways()
    {
        Assert.Equal(0, TitanProcess.Run(["checkpoint", "convert", trained.Step(1), folder.At("theirs")]).ExitCode);
        Assert.Equal(0, TitanProcess.Run(["checkpoint", "convert", folder.At("theirs"), folder.At("step-0")]).ExitCode);
        var ours = TitanProcess.Run(TitanProcess.SmallJob(folder.At("a"), 1, "--checkpoint.enable", "--checkpoint.initial_load_path", folder.At("step-0")));
        var theirs = TitanProcess.Run(TitanProcess.SmallJob(folder.At("b"), 1, "--checkpoint.enable", "--checkpoint.initial_load_path", folder.At("theirs"), "--checkpoint.initial_load_in_hf"));
        Assert.True(ours.ExitCode == 0 && theirs.ExitCode == 0, ours.Output + theirs.Output);
        Assert.Equal(Loss(ours.Output), Loss(theirs.Output));
    }

    [Theory]
    [InlineData("mid-tensors:1")]
    [InlineData("mid-tensors:20")]
    [InlineData("before-manifest")]
    [InlineData("mid-manifest")]
    [InlineData("before-rename")]
    public void A_conversion_that_is_killed_leaves_no_folder_and_the_same_command_makes_it(string failpoint)
    {
        Assert.Equal(0, TitanProcess.Run(["checkpoint", "convert", trained.Step(1), folder.At("source")]).ExitCode);
        foreach (var (from, to) in new[] { (trained.Step(1), "theirs"), (folder.At("source"), "ours") })
        {
            string[] command = ["checkpoint", "convert", from, folder.At(to), "--model.flavor", "cpu_small"];
            Assert.Equal(137, TitanProcess.Run(command, failpoint).ExitCode);
            Assert.False(Directory.Exists(folder.At(to)));
            var (code, output) = TitanProcess.Run(command);
            Assert.True(code == 0, output);
            Assert.Contains("was broken off; it starts over", output, StringComparison.Ordinal);
            Assert.Equal(0, TitanProcess.Run(["checkpoint", "verify", folder.At(to)]).ExitCode);
        }

        Assert.DoesNotContain(Directory.EnumerateFileSystemEntries(folder.Path), e => e.EndsWith(".converting", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("before-first-byte:2")]
    [InlineData("mid-tensors:130")]
    [InlineData("before-manifest:2")]
    [InlineData("mid-manifest:2")]
    [InlineData("before-rename:2")]
    public void A_run_that_is_killed_while_it_leaves_a_hugging_face_folder_shows_none_and_goes_on(string failpoint)
    {
        var job = TitanProcess.SmallJob(folder.At("run"), 2, [.. Trained.Checkpointing]);
        Assert.Equal(137, TitanProcess.Run(job, failpoint).ExitCode);
        Assert.Equal([".lock", "step-1"], Directory.EnumerateFileSystemEntries(folder.At("run", "checkpoint")).Select(f => Path.GetFileName(f)).Where(f => !f.EndsWith(".tmp", StringComparison.Ordinal)).Order(StringComparer.Ordinal));
        var (code, output) = TitanProcess.Run(job);
        Assert.True(code == 0, output);
        Assert.Equal(File.ReadAllBytes(Path.Combine(trained.Step(2), "model.safetensors")), File.ReadAllBytes(folder.At("run", "checkpoint", "step-2", "model.safetensors")));
        Assert.DoesNotContain(Directory.EnumerateFileSystemEntries(folder.At("run", "checkpoint")), e => e.EndsWith(".tmp", StringComparison.Ordinal));
    }

    [Fact]
    public void What_a_folder_holds_is_shown_for_people_and_scripts()
    {
        var (code, text) = TitanProcess.Run(["checkpoint", "inspect", trained.Step(2)]);
        Assert.Equal(0, code);
        foreach (var line in new[] { "format      Hugging Face, model_type llama", "model       llama3/cpu_small", "step        2", "model.embed_tokens.weight", "BF16  [2048, 256]  model.safetensors" })
            Assert.Contains(line, text, StringComparison.Ordinal);
        using var json = JsonDocument.Parse(TitanProcess.Run(["checkpoint", "inspect", "--json", trained.Step(1)]).Output);
        Assert.Equal(1, json.RootElement.GetProperty("step").GetInt64());
        Assert.Contains(json.RootElement.GetProperty("tensors").EnumerateArray(), t => t.GetProperty("name").GetString() == "layers.0.attention.wq.weight" && t.GetProperty("dtype").GetString() == "F32");
    }

    [Theory]
    [InlineData(2, "titan checkpoint convert: expected FROM TO, got none", "convert")]
    [InlineData(2, "expected FROM TO, got {step}", "convert", "{step}")]
    [InlineData(5, "'nowhere' does not exist", "convert", "nowhere", "to")]
    [InlineData(5, "'nowhere' does not exist", "inspect", "nowhere")]
    [InlineData(5, "holds checkpoints: ", "inspect", "{run}")]
    [InlineData(5, "'{step}' exists already and is not empty", "convert", "{step}", "{step}")]
    [InlineData(2, "--training.steps has no effect on 'titan checkpoint convert', which takes --model.name, --model.flavor", "convert", "{step}", "to", "--training.steps", "3")]
    [InlineData(2, "'llama3' has no such flavor", "convert", "{step}", "to", "--model.flavor", "9B")]
    [InlineData(5, "is not of model llama3/debugmodel:", "convert", "{step}", "to", "--model.flavor", "debugmodel")]
    [InlineData(5, "is not of model llama3/debugmodel:", "verify", "--model.flavor", "debugmodel", "{step}")]
    [InlineData(2, "--jsn: no such option; 'titan checkpoint inspect --help' lists them; did you mean '--json'?", "inspect", "{step}", "--jsn")]
    public void Wrong_input_is_refused_in_one_message(int code, string says, params string[] command)
    {
        var (exit, output) = TitanProcess.Run(["checkpoint", .. command.Select(Filled)]);
        Assert.Contains(Filled(says), output, StringComparison.Ordinal);
        Assert.Equal(code, exit);

        string Filled(string text) => text.Replace("{step}", trained.Step(1), StringComparison.Ordinal).Replace("{run}", trained.Folder, StringComparison.Ordinal);
    }

    private static string Loss(string output) => output.Split('\n').Single(l => l.Contains("step:  1", StringComparison.Ordinal))[(output.Split('\n').Single(l => l.Contains("step:  1", StringComparison.Ordinal)).IndexOf("loss:", StringComparison.Ordinal))..].Split("memory")[0];

    /// <summary>A run of two steps: a whole checkpoint of the first, a Hugging Face folder in bf16 of the second.</summary>
    public sealed class Trained : IDisposable
    {
        private readonly TestFolder folder = new();

        /// <summary>Trains.</summary>
        public Trained()
        {
            var (code, output) = TitanProcess.Run(TitanProcess.SmallJob(folder.At("run"), 2, [.. Checkpointing]));
            Assert.True(code == 0, output);
        }

        /// <summary>The flags of such a run.</summary>
        public static IReadOnlyList<string> Checkpointing { get; } = ["--checkpoint.enable", "--checkpoint.interval", "1", "--checkpoint.last_save_in_hf", "--checkpoint.export_dtype", "bfloat16"];

        /// <summary>The run's folder.</summary>
        public string Folder => folder.At("run");

        /// <summary>The shipped tokenizer.</summary>
        public string Assets => Path.Combine(Titan.Training.Data.SampleAssets.Root, "tokenizer");

        /// <summary>The folder of a step.</summary>
        public string Step(int step) => folder.At("run", "checkpoint", $"step-{step}");

        /// <inheritdoc />
        public void Dispose() => folder.Dispose();
    }
}
