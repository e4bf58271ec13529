using Titan.Abstractions;
using Titan.Parallelism.Tests;
using Titan.Training.Checkpoints;
using Titan.Training.Configuration;
using Titan.Training.Data;
using Titan.Training.Loop;
using Titan.Training.Optimization;
using Titan.Training.Tests.Data;
using Parameter = TorchSharp.Modules.Parameter;
using static TorchSharp.torch;

namespace Titan.Training.Tests.Loop;

/// <summary>Runs that share their parameters and their data are stopped, and go on with other numbers of ranks and other splits, as if nothing had been.</summary>
public sealed class ShardedRunTests : IDisposable
{
    private const int GlobalBatch = 12, SeqLen = 5;

    // Columns that every number of ranks cuts into whole vectors: the optimizer's kernel rounds what is beyond them in another way.
    private static readonly (string Fqn, long[] Shape)[] Model = [("layers.0.wq.weight", [7, 192]), ("norm.weight", [192]), ("output.weight", [10, 192])];

    private readonly TestFolder folder = new();
    private readonly List<string> warnings = [];

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData("1 rows", "4 rows", "2 rows", "3 columns", "1 rows")]
    [InlineData("4 columns", "2 columns", "4 rows", "6 rows", "2 columns")]
    public void Weights_moments_and_data_go_on_to_the_bit_with_any_number_of_ranks(params string[] parts)
    {
        var expected = Run("whole", 1, "rows", 2 * parts.Length);
        var actual = new List<string>();
        Step last = null!;
        for (var i = 0; i < parts.Length; i++)
        {
            var (size, split) = (int.Parse(parts[i].Split(' ')[0]), parts[i].Split(' ')[1]);
            last = Run("parts", size, split, 2 * (i + 1));
            actual.AddRange(last.Sequences);
        }

        Assert.Equal(expected.Sequences, actual);
        // Of the last run, which may be any part: read whole from its checkpoint.
        foreach (var file in new[] { "model.safetensors", "optimizer.safetensors", "rng.safetensors" })
            Assert.Equal(Whole("whole", file, 2 * parts.Length), Whole("parts", file, 2 * parts.Length));
        Assert.Equal(2 * parts.Length, last.Number);
    }

    [Fact]
    public void The_weights_alone_are_saved_in_parts_in_the_dtype_to_export_and_start_another_run()
    {
        _ = Run("seed", 3, "rows", 2, new CheckpointSection { Enable = true, ExportDtype = "bfloat16" }, modelOnly: true);
        var opened = CheckpointStore.OpenFolder(folder.At("seed", "checkpoint", "step-2"));
        Assert.Equal(["model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors"], opened.Manifest.Files.Select(f => f.Name).Order(StringComparer.Ordinal));
        Assert.All(opened.Tensors("model.safetensors").Values, t => Assert.Equal(ScalarType.BFloat16, t.Type));
        var start = new CheckpointSection { Enable = true, InitialLoadPath = opened.Folder };
        Assert.Equal(Run("one", 1, "rows", 2, start).Sequences, Run("two", 2, "columns", 2, start).Sequences);
        Assert.Equal(Whole("one", "model.safetensors", 2), Whole("two", "model.safetensors", 2));
    }

    [Fact]
    public void Weights_that_the_dtype_to_export_cannot_hold_on_one_rank_are_saved_in_their_own_by_all_with_a_warning()
    {
        _ = ThreadRanks.Run(3, world =>
        {
            using var data = Loader(world, "data");
            using var checkpoints = Checkpoints("run", world, "rows", new CheckpointSection { Enable = true, ExportDtype = "float16" }, out var parameters, out _);
            using (no_grad())
                if (world.Rank == 1) parameters[0].Parameter.add_(70000);
            checkpoints.Save(2, tokens: 2 * GlobalBatch * SeqLen, data.Save(), isLast: true);
            return 0;
        });
        Assert.Equal("checkpoint.export_dtype = float16 cannot hold the values of layers.0.wq.weight: step-2 is saved in the dtype of the weights", Assert.Single(warnings));
        Assert.All(CheckpointStore.OpenFolder(folder.At("run", "checkpoint", "step-2")).Tensors("model.safetensors").Values, t => Assert.Equal(ScalarType.Float32, t.Type));
    }

    [Fact]
    public void Data_that_changed_on_one_rank_end_the_run_on_all()
    {
        _ = Run("run", 2, "rows", 2);
        var errors = ThreadRanks.Run(2, world =>
        {
            using var data = Loader(world, world.Rank == 1 ? "other" : "data");
            using var checkpoints = Checkpoints("run", world, "rows", new CheckpointSection { Enable = true }, out _, out _);
            return Assert.Throws<TitanException>(() => checkpoints.Load(data)).Message;
        });
        Assert.Contains("the files of dataset 'text' changed since", Assert.Single(errors.Distinct()), StringComparison.Ordinal);
    }

    private sealed record Step(int Number, IReadOnlyList<string> Sequences);

    /// <summary>Goes on to a step, saves there, and ends.</summary>
    private Step Run(string run, int size, string split, int last, CheckpointSection? section = null, bool modelOnly = false)
    {
        section ??= new CheckpointSection { Enable = true };
        var ranks = ThreadRanks.Run(size, world =>
        {
            using var scope = NewDisposeScope();
            using var data = Loader(world, "data");
            using var checkpoints = Checkpoints(run, world, split, section with { LastSaveModelOnly = modelOnly }, out var parameters, out var optimizer);
            var loaded = checkpoints.Load(data);
            var batches = new List<List<string>>();
            long step = loaded?.Step ?? 0;
            for (; step < last; step++)
            {
                for (var micro = 0; micro < MicroBatches(world); micro++)
                    batches.Add([.. data.Next()!.Inputs.Chunk(SeqLen).Select(s => new CharacterTokenizer().Decode(s.Select(t => (int)t)))]);
                foreach (var p in parameters)
                {
                    using var part = p.Layout.Of(Values(p.Layout.GlobalShape, (int)step));
                    p.Parameter.grad = part.clone();
                }

                optimizer.Step(1e-2);
            }

            checkpoints.Save(last, tokens: last * GlobalBatch * SeqLen, data.Save(), isLast: modelOnly);
            return (Step: (int)step, Batches: batches);
        });
        // Micro-batch by micro-batch, rank by rank: the order in which one rank reads them.
        return new Step(ranks[0].Step, [.. Enumerable.Range(0, ranks[0].Batches.Count).SelectMany(m => ranks.SelectMany(r => r.Batches[m]))]);
    }

    /// <summary>In how many a global batch of 12 is read.</summary>
    private static int MicroBatches(IProcessGroup world) => world.Size % 3 == 0 ? 2 : 3;

    private RunCheckpoints Checkpoints(string run, IProcessGroup world, string split, CheckpointSection section, out IReadOnlyList<ModelParameter> parameters, out FusedAdam optimizer)
    {
        using var none = no_grad();
        parameters = [.. Model.Select(m =>
        {
            var dimension = split == "columns" ? m.Shape.Length - 1 : 0;
            var each = (m.Shape[dimension] + world.Size - 1) / world.Size;
            var begin = Math.Min(m.Shape[dimension], world.Rank * each);
            // Norms stay whole, as tensor parallelism leaves them.
            var isWhole = m.Shape.Length == 1;
            var layout = isWhole ? ShardLayout.Whole(m.Shape) : ShardLayout.Whole(m.Shape).Narrow(dimension, begin, Math.Min(each, m.Shape[dimension] - begin));
            return new ModelParameter(m.Fqn, new Parameter(layout.Of(Values(m.Shape, 99)).clone()), layout, isWhole ? world.Size : 1);
        })];
        optimizer = new FusedAdam(parameters.Select(p => (p.Fqn, p.Parameter)), 0.9, 0.95, 1e-8, 0.1, decoupled: true);
        var job = new JobConfig { Job = new JobSection { DumpFolder = folder.At(run) }, Checkpoint = section };
        return new RunCheckpoints(job, parameters, optimizer, new Dictionary<string, string>(), warnings.Add, world);
    }

    private static Tensor Values(IReadOnlyList<long> shape, int seed)
    {
        using var scope = NewDisposeScope();
        return arange(shape.Aggregate(1L, (a, b) => a * b), dtype: ScalarType.Float32).mul(0.7).add(seed).sin().reshape([.. shape]).MoveToOuterDisposeScope();
    }

    private DataLoader Loader(IProcessGroup world, string name)
    {
        var path = folder.At($"{name}-{world.Size}-{world.Rank}", "text.txt");
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, string.Join("\n\n", Enumerable.Range(0, 50).Select(i => $"{name} {new string((char)('a' + i % 26), i)}")));
        return new DataLoader(new Corpus("text", [path]), new PlainDocuments(new CharacterTokenizer()), world.Rank, world.Size, GlobalBatch / world.Size / MicroBatches(world), SeqLen, infinite: true);
    }

    /// <summary>The bytes of a file's tensors, whole.</summary>
    private Dictionary<string, string> Whole(string run, string file, int step)
    {
        using var scope = NewDisposeScope();
        var opened = CheckpointStore.OpenFolder(folder.At(run, "checkpoint", $"step-{step}"));
        var targets = opened.Tensors(file).Select(t => TensorPart.Whole(t.Key, zeros([.. t.Value.Shape], dtype: t.Value.Type))).ToList();
        opened.ReadInto(file, targets);
        return targets.ToDictionary(t => t.Name, t => System.Convert.ToHexString(t.Tensor.bytes));
    }
}
