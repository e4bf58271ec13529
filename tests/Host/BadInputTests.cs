using Titan.Abstractions;

namespace Titan.Host.Tests;

/// <summary>Each mistake gets one clear line, the exit code of its kind, and no stack trace.</summary>
public sealed class BadInputTests
{
    [Theory]
    [InlineData(ExitCode.Usage, "did you mean 'training.steps'", "--training.stepz", "3")]
    [InlineData(ExitCode.Usage, "expected a whole number", "--training.steps", "many")]
    [InlineData(ExitCode.Usage, "quantize.linear.float8", "--model.converters", "quantize.linear.float9")]
    [InlineData(ExitCode.Usage, "this recipe; known: ", "--model.converters", "quantize.linear.float8", "--quantize.linear.float8.recipe_name", "tensorwize")]
    [InlineData(ExitCode.Usage, "matches no layer", "--model.converters", "quantize.linear.float8", "--quantize.linear.float8.filter_fqns", "outptu")]
    [InlineData(ExitCode.Usage, "loosen quantize.linear.float8.filter_fqns", "--model.converters", "quantize.linear.float8", "--quantize.linear.float8.filter_fqns", "layers,output")]
    [InlineData(ExitCode.Usage, "known: titan_sample", "--training.dataset", "c5")]
    [InlineData(ExitCode.Data, "set training.dataset_path", "--training.dataset", "c4")]
    [InlineData(ExitCode.Usage, "has no such flavor", "--model.flavor", "9B")]
    [InlineData(ExitCode.Usage, "does not exist", "--job.config_file", "no_such.toml")]
    [InlineData(ExitCode.Data, "does not exist", "--training.dataset", "text", "--training.dataset_path", "/no/such/file.txt")]
    [InlineData(ExitCode.Data, "tokenizer.json", "--model.hf_assets_path", "/no/such/folder")]
    [InlineData(ExitCode.Usage, "takes no value", "--compile.enable=False")]
    [InlineData(ExitCode.Usage, "NGPU=2", "--parallelism.tensor_parallel_degree", "2")]
    [InlineData(ExitCode.Usage, "no loaded plugin serves [quantize.linear.mx]", "--plugins.disable", "titan.mxfp8", "--quantize.linear.mx.recipe_name", "mxfp8_cublas")]
    [InlineData(ExitCode.Usage, "has no effect: model.converters does not list quantize.linear.mx", "--quantize.linear.mx.recipe_name", "mxfp8_cublas")]
    [InlineData(ExitCode.Plugin, "does not exist", "--plugins.path", "/no/such/folder")]
    [InlineData(ExitCode.Data, "cannot be written", "--job.dump_folder", "/proc/titan")]
    public void A_mistake_in_a_job_is_named_with_the_way_out(ExitCode code, string text, params string[] args)
    {
        var folder = Directory.CreateTempSubdirectory("titan-bad").FullName;
        try
        {
            var dump = args.Contains("--job.dump_folder") ? [] : new[] { "--job.dump_folder", folder };
            var (exit, output) = TitanProcess.Run(JobFlags.With(["train", "--training.steps", "1", .. dump], args));
            Assert.Contains(text, output, StringComparison.Ordinal);
            Assert.DoesNotContain("   at ", output, StringComparison.Ordinal);
            Assert.Equal((int)code, exit);
        }
        finally
        {
            Directory.Delete(folder, true);
        }
    }

    [Theory]
    [InlineData(ExitCode.Usage, "'trane'", "trane")]
    [InlineData(ExitCode.Usage, "Required command", "config")]
    [InlineData(ExitCode.Usage, "Required argument", "plugin inspect")]
    [InlineData(ExitCode.Usage, "expected a flag", "train 100")]
    [InlineData(ExitCode.Usage, "syntax.toml:2:", "config check --job.config_file FOLDER/syntax.toml")]
    [InlineData(ExitCode.Usage, "unknown.toml:2: training.stepz", "config check --job.config_file FOLDER/unknown.toml")]
    [InlineData(ExitCode.Usage, "type.toml:2: training.steps = \"many\": expected a whole number", "config check --job.config_file FOLDER/type.toml")]
    [InlineData(ExitCode.Usage, "not valid TOML", "config check --job.config_file FOLDER/binary.txt")]
    [InlineData(ExitCode.Usage, "is a folder", "config check --job.config_file FOLDER")]
    [InlineData(ExitCode.Usage, "no such model; known: llama3", "plan --model.name llama9")]
    [InlineData(ExitCode.Usage, "checkpoint.keep_latest_k = 1", "plan --checkpoint.keep_latest_k 1")]
    [InlineData(ExitCode.Usage, "checkpoint.load_step = -2", "plan --checkpoint.load_step -2")]
    [InlineData(ExitCode.Usage, "\"weights\": expected one of: model", "plan --checkpoint.exclude_from_loading weights")]
    [InlineData(ExitCode.Data, "has no document", "train --training.dataset text --training.dataset_path FOLDER/empty.txt")]
    [InlineData(ExitCode.Data, "is binary", "train --training.dataset text --training.dataset_path FOLDER/binary.txt")]
    [InlineData(ExitCode.Data, "lines.jsonl:2: not valid JSON", "train --training.dataset text --training.dataset_path FOLDER/lines.jsonl")]
    [InlineData(ExitCode.Data, "holds no file that ends in", "train --training.dataset text --training.dataset_path FOLDER/nothing")]
    [InlineData(ExitCode.Data, "it lacks \"merges\"", "train --model.hf_assets_path FOLDER/broken_tokenizer")]
    [InlineData(ExitCode.Data, "has 5001 entries, model llama3/cpu_small only 2048", "train --model.hf_assets_path FOLDER/large_tokenizer")]
    [InlineData(ExitCode.Data, "job.dump_folder = 'FOLDER/empty.txt' cannot be written", "train --job.dump_folder FOLDER/empty.txt")]
    [InlineData(ExitCode.Data, "job.dump_folder = '' cannot be written", "train --job.dump_folder=")]
    [InlineData(ExitCode.Data, "checkpoint folder 'FOLDER/empty.txt' cannot be written", "train --checkpoint.enable --checkpoint.folder FOLDER/empty.txt")]
    [InlineData(ExitCode.Data, "checkpoint folder '/proc/titan' cannot be written", "train --checkpoint.enable --checkpoint.folder /proc/titan")]
    [InlineData(ExitCode.Data, "but holds pytorch_model.bin", "train --checkpoint.enable --checkpoint.initial_load_path FOLDER/foreign")]
    [InlineData(ExitCode.Data, "holds pytorch_model.bin, which is not a checkpoint of this program", "train --checkpoint.enable --checkpoint.folder FOLDER/foreign")]
    public void A_bad_file_or_folder_is_named_with_the_way_out_and_left_as_it_was(ExitCode code, string text, string command)
    {
        var folder = Directory.CreateTempSubdirectory("titan-bad").FullName;
        try
        {
            Prepare(folder);
            var before = Snapshot(folder);
            string[] args = [.. command.Replace("FOLDER", folder).Split(' ')];
            if (args[0] == "train" && args.Length > 2)
                args = TitanProcess.SmallJob(Path.Combine(folder, "run"), 1, args[1..]);
            var (exit, output) = TitanProcess.Run(args);
            Assert.Contains(text.Replace("FOLDER", folder), output, StringComparison.Ordinal);
            Assert.Single(output.Split('\n'), l => l.StartsWith("titan: error: ", StringComparison.Ordinal));
            Assert.DoesNotContain("   at ", output, StringComparison.Ordinal);
            Assert.DoesNotContain("should not happen", output, StringComparison.Ordinal);
            Assert.Equal((int)code, exit);
            Assert.Equal(before, Snapshot(folder));
        }
        finally
        {
            Directory.Delete(folder, true);
        }
    }

    [Theory]
    [InlineData("titan", 30)]
    [InlineData("titan", 100)]
    [InlineData("", 100)]
    public void Too_few_open_files_are_said_in_one_line(string script, int files)
    {
        var program = script.Length > 0 ? Path.Combine(Ranks.RankJob.Repository, script) : Path.Combine(AppContext.BaseDirectory, "titan");
        var start = new System.Diagnostics.ProcessStartInfo("/bin/bash", ["-c", $"ulimit -n {files}; exec '{program}' config show"]) { RedirectStandardError = true, RedirectStandardOutput = true };
        using var process = System.Diagnostics.Process.Start(start)!;
        var error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        Assert.Equal((int)ExitCode.Hardware, process.ExitCode);
        Assert.Contains($"open {files} files", error, StringComparison.Ordinal);
        Assert.Single(error.Trim().Split('\n'));
    }

    [Fact]
    public void A_checkpoint_that_is_damaged_or_of_another_model_is_said_and_kept()
    {
        var folder = Directory.CreateTempSubdirectory("titan-damaged").FullName;
        try
        {
            var job = TitanProcess.SmallJob(folder, 1, "--checkpoint.enable", "--training.dataset", "titan_sample_validation");
            var seeded = TitanProcess.Run([.. job, "--checkpoint.create_seed_checkpoint"]);
            Assert.True(seeded.ExitCode == 0, seeded.Output);
            Fails("does not fit this model", "--model.flavor", "debugmodel");
            Fails("has no such checkpoint; it has: 0", "--checkpoint.load_step", "7");

            var file = Path.Combine(folder, "checkpoint", "step-0", "model.safetensors");
            using (var cut = File.OpenWrite(file)) cut.SetLength(cut.Length - 1);
            Fails("is damaged: model.safetensors has", "--checkpoint.load_step", "0");
            var (code, output) = TitanProcess.Run(job);
            Assert.True(code == 0, output);
            Assert.Contains("step-0.corrupt", output, StringComparison.Ordinal);
            Assert.Contains("training starts over", output, StringComparison.Ordinal);
            Assert.True(File.Exists(Path.Combine(folder, "checkpoint", "step-0.corrupt", "model.safetensors")));

            void Fails(string text, params string[] more)
            {
                var before = Snapshot(Path.Combine(folder, "checkpoint", "step-0"));
                var (exit, said) = TitanProcess.Run(JobFlags.With(job, more));
                Assert.Contains(text, said, StringComparison.Ordinal);
                Assert.DoesNotContain("   at ", said, StringComparison.Ordinal);
                Assert.Equal((int)ExitCode.Data, exit);
                Assert.Equal(before, Snapshot(Path.Combine(folder, "checkpoint", "step-0")));
            }
        }
        finally
        {
            Directory.Delete(folder, true);
        }
    }

    private static void Prepare(string folder)
    {
        Write("syntax.toml", "[training]\nsteps = = 3\n");
        Write("unknown.toml", "[training]\nstepz = 3\n");
        Write("type.toml", "[training]\nsteps = \"many\"\n");
        Write("empty.txt", "");
        File.WriteAllBytes(Path.Combine(folder, "binary.txt"), new byte[1000]);
        Write("lines.jsonl", "{\"text\": \"one\"}\n{\"text\": \n");
        Directory.CreateDirectory(Path.Combine(folder, "nothing"));
        Write("foreign/pytorch_model.bin", "x");
        Write("broken_tokenizer/tokenizer.json", """{"pre_tokenizer": {"type": "ByteLevel"}, "model": {"type": "BPE", "vocab": {"a": 0}}}""");
        var shipped = Path.Combine(Training.Data.SampleAssets.Root, "tokenizer", "tokenizer.json");
        Write("large_tokenizer/tokenizer.json", File.ReadAllText(shipped).Replace("\"added_tokens\":[", "\"added_tokens\":[{\"id\":5000,\"content\":\"<|new|>\"},"));

        void Write(string name, string text)
        {
            var path = Path.Combine(folder, name);
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllText(path, text);
        }
    }

    /// <summary>The files with their content, without what the run itself may write.</summary>
    private static Dictionary<string, string> Snapshot(string folder) => Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories)
        .Where(f => !f.StartsWith(Path.Combine(folder, "run"), StringComparison.Ordinal) && Path.GetFileName(f) != ".lock")
        .ToDictionary(f => f, f => Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(f))));
}
