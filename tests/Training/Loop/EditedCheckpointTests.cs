using System.Text.Json;
using System.Text.Json.Nodes;
using Titan.Abstractions;
using Titan.Parallelism.Tests;
using Titan.Training.Checkpoints;
using Titan.Training.Configuration;
using Titan.Training.Data;
using Titan.Training.Loop;
using Titan.Training.Optimization;
using Titan.Training.Tests.Checkpoints;
using Titan.Training.Tests.Data;
using Parameter = TorchSharp.Modules.Parameter;
using static TorchSharp.torch;

namespace Titan.Training.Tests.Loop;

/// <summary>A checkpoint whose parts were edited and sealed again is refused before a weight, a moment, the generator or the place in the data is changed.</summary>
public sealed class EditedCheckpointTests : IDisposable
{
    private readonly TestFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData("rng.safetensors", "zeros", "holds no state of a generator")]
    [InlineData("rng.safetensors", "ones", "holds no state of a generator")]
    [InlineData("rng.safetensors", "int32", "1 of another kind of numbers (torch is Int32, expected Byte)")]
    [InlineData("model.safetensors", "int32", "1 of another kind of numbers (w is Int32, expected Float32)")]
    [InlineData("optimizer.safetensors", "int32", "2 of another kind of numbers (exp_avg.w is Int32, expected Float32")]
    [InlineData("optimizer.safetensors", "negative", "exp_avg_sq.w is negative, a mean of squares never is")]
    [InlineData("model.safetensors", "no offsets", "tensor 'w' claims other bytes than its 48 within the file")]
    [InlineData("model.safetensors", "one offset", "tensor 'w' claims other bytes than its 48 within the file")]
    [InlineData("model.safetensors", "null dtype", "tensor 'w' has no dtype")]
    [InlineData("train_state.json", "{}", "is not what this program saves there")]
    [InlineData("train_state.json", "Step=-1", "Step is -1, expected 2, the step of the checkpoint")]
    [InlineData("train_state.json", "Step=4611686018427387904", "expected 2, the step of the checkpoint")]
    [InlineData("train_state.json", "TokensSeen=-1", "TokensSeen is -1")]
    [InlineData("train_state.json", "TokensSeen=4611686018427387904", "TokensSeen is 4611686018427387904")]
    [InlineData("train_state.json", "OptimizerSteps=-1", "OptimizerSteps is -1, expected 0 to 2")]
    [InlineData("train_state.json", "OptimizerSteps=4611686018427387904", "OptimizerSteps is 4611686018427387904, expected 0 to 2")]
    [InlineData("train_state.json", "OptimizerSteps=3", "OptimizerSteps is 3, expected 0 to 2")]
    [InlineData("train_state.json", "SchedulerSteps=3", "SchedulerSteps is 3, expected 0 to 2")]
    [InlineData("train_state.json", "Unknown=3", "is not what this program saves there")]
    [InlineData("dataloader.json", "{}", "is not what this program saves there")]
    [InlineData("dataloader.json", "Buffer=[70000]", "holds token 70000, the tokenizer has 0 to 65535")]
    [InlineData("dataloader.json", "Buffer=[-1]", "holds token -1")]
    [InlineData("dataloader.json", "Document=51", "is after document 51, dataset 'text' has 50")]
    [InlineData("dataloader.json", "Document=-1", "Document is -1")]
    [InlineData("dataloader.json", "Epoch=2147483647", "Epoch is 2147483647, expected at most one for each of the 20 tokens")]
    [InlineData("dataloader.json", "Epoch=1e9", "is not what this program saves there")]
    public void Is_refused_and_changes_nothing(string file, string edit, string message)
    {
        Save();
        var checkpoint = folder.At("run", "checkpoint", "step-2");
        SmallCheckpoint.Rewrite(checkpoint, file, b => Edit(b, edit));
        foreach (var size in new[] { 1, 2 })
        {
            var errors = ThreadRanks.Run(size, world =>
            {
                using var run = new Run(folder, world);
                var before = run.Everything();
                var error = Assert.Throws<TitanException>(() => run.Checkpoints.Load(run.Data));
                Assert.Equal(ExitCode.Data, error.Code);
                // A mean of squares is looked at where it was read to.
                if (edit != "negative") Assert.Equal(before, run.Everything());
                return error.Message;
            });
            Assert.Contains(message, Assert.Single(errors.Distinct()), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void What_was_not_edited_is_loaded()
    {
        var saved = Save();
        using var run = new Run(folder, new Distributed.SingleRankGroup("world"));
        Assert.Equal(new RunCheckpoints.Loaded(folder.At("run", "checkpoint", "step-2"), 2, 20, 2, []), run.Checkpoints.Load(run.Data));
        Assert.Equal(saved, run.Everything());
    }

    private string Save()
    {
        using var run = new Run(folder, new Distributed.SingleRankGroup("world"));
        for (var i = 0; i < 2; i++)
        {
            _ = run.Data.Next();
            run.Parameter.grad = full(4, 3, i + 1f);
            run.Optimizer.Step(1e-2);
        }

        run.Checkpoints.Save(2, 20, run.Data.Save(), isLast: false);
        return run.Everything();
    }

    private static byte[] Edit(byte[] bytes, string edit)
    {
        if (edit.Contains('=', StringComparison.Ordinal))
        {
            var json = JsonNode.Parse(bytes)!.AsObject();
            json[edit.Split('=')[0]] = JsonNode.Parse(edit.Split('=')[1]);
            return JsonSerializer.SerializeToUtf8Bytes(json);
        }

        if (edit == "{}") return "{}"u8.ToArray();
        var start = 8 + (int)BitConverter.ToInt64(bytes);
        var header = JsonNode.Parse(bytes.AsSpan(8, start - 8))!.AsObject();
        var data = bytes[start..];
        foreach (var (_, entry) in header)
        {
            switch (edit)
            {
                case "int32":
                    if (entry!["dtype"]!.GetValue<string>() == "U8") entry["shape"] = new JsonArray(data.Length / 4);
                    entry["dtype"] = "I32";
                    break;
                case "no offsets":
                    entry!["data_offsets"] = new JsonArray();
                    break;
                case "one offset":
                    entry!["data_offsets"] = new JsonArray(0);
                    break;
                case "null dtype":
                    entry!["dtype"] = null;
                    break;
            }
        }

        if (edit is "zeros" or "ones") Array.Fill(data, edit == "zeros" ? (byte)0 : (byte)0xff);
        if (edit == "negative") data[^1] |= 0x80;
        var text = JsonSerializer.SerializeToUtf8Bytes(header);
        return [.. BitConverter.GetBytes((long)text.Length), .. text, .. data];
    }

    /// <summary>A run of one weight, of which each rank has all.</summary>
    private sealed class Run : IDisposable
    {
        public Run(TestFolder folder, IProcessGroup world)
        {
            using var none = no_grad();
            Parameter = new Parameter(arange(12, dtype: ScalarType.Float32).reshape(4, 3));
            Optimizer = new FusedAdam([("w", Parameter)], 0.9, 0.95, 1e-8, 0.1, decoupled: true);
            var text = folder.At($"text-{world.Size}-{world.Rank}", "text.txt");
            Directory.CreateDirectory(Path.GetDirectoryName(text)!);
            File.WriteAllText(text, string.Join("\n\n", Enumerable.Range(0, 50).Select(i => new string((char)('a' + i % 26), 1 + i))));
            Data = new DataLoader(new Corpus("text", [text]), new PlainDocuments(new CharacterTokenizer()), 0, 1, 2, 5, infinite: true);
            var job = new JobConfig { Job = new JobSection { DumpFolder = folder.At("run") }, Checkpoint = new CheckpointSection { Enable = true, LoadOnly = world.Size > 1 } };
            Checkpoints = new RunCheckpoints(job, [new ModelParameter("w", Parameter, ShardLayout.Whole([4, 3]), world.Size)], Optimizer, new Dictionary<string, string>(), _ => { }, world);
        }

        public Parameter Parameter { get; }

        public FusedAdam Optimizer { get; }

        public DataLoader Data { get; }

        public RunCheckpoints Checkpoints { get; }

        /// <summary>All that a checkpoint may change.</summary>
        public string Everything()
        {
            using var random = get_rng_state();
            return string.Join(' ', Hex(Parameter), string.Join(' ', Optimizer.Moments.Select(m => Hex(m.Tensor))), Optimizer.Steps, Hex(random), JsonSerializer.Serialize(Data.Save()));
        }

        public void Dispose()
        {
            Checkpoints.Dispose();
            Data.Dispose();
        }

        private static string Hex(Tensor tensor) => System.Convert.ToHexString(tensor.bytes);
    }
}
