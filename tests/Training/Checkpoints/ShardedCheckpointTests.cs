using System.Diagnostics;
using CsCheck;
using Titan.Abstractions;
using Titan.Parallelism.Tests;
using Titan.Training.Checkpoints;
using static TorchSharp.torch;

namespace Titan.Training.Tests.Checkpoints;

/// <summary>What any number of ranks saved, in any split, any number of ranks loads in any other, to the bit.</summary>
public sealed class ShardedCheckpointTests : IDisposable
{
    private static readonly (string Name, ScalarType Type, long[] Shape)[] Model =
    [
        ("embedding", ScalarType.Float32, [37, 6]), ("wq", ScalarType.BFloat16, [8, 12]), ("norm", ScalarType.Float32, [5]), ("experts", ScalarType.Float64, [3, 4, 5]),
        ("scale", ScalarType.Float32, []), ("none", ScalarType.Float32, [0, 4]), ("bytes", ScalarType.Byte, [9, 9]), ("float8", Float8Format.E4M3.Type, [16, 2]),
    ];

    private readonly TestFolder folder = new();
    private readonly List<string> warnings = [];

    public void Dispose() => folder.Dispose();

    private delegate ShardLayout Split(long[] shape, int rank, int size);

    public static TheoryData<int, string, int, string> Layouts()
    {
        var data = new TheoryData<int, string, int, string>();
        foreach (var (from, to) in new[] { (4, 1), (4, 2), (4, 3), (1, 4), (2, 4), (3, 5) }) data.Add(from, "rows", to, "rows");
        foreach (var (from, to) in new[] { ("rows", "columns"), ("columns", "rows"), ("rows", "mesh"), ("mesh", "columns"), ("mesh", "replicated rows"), ("replicated rows", "rows"), ("whole", "mesh"), ("mesh", "whole") })
            data.Add(4, from, 4, to);
        data.Add(4, "mesh", 6, "mesh");
        return data;
    }

    [Theory]
    [MemberData(nameof(Layouts))]
    public void What_was_saved_in_one_layout_is_loaded_in_another(int saving, string from, int loading, string to)
    {
        Save(saving, SplitOf(from), step: 3);
        Assert.Empty(Load(loading, SplitOf(to)));
        Assert.Empty(warnings);
    }

    [Fact]
    public void Any_grid_of_boxes_is_loaded_as_any_other() =>
        Gen.Select(Gen.Int[1, 5], Gen.Int, Gen.Int[1, 5], Gen.Int).Sample((saving, seed, loading, other) =>
        {
            Save(saving, Grid(seed), step: 1);
            Assert.Empty(Load(loading, Grid(other)));
        }, iter: 40, threads: 1);

    [Fact]
    public void Each_rank_writes_a_file_of_its_own_and_what_all_hold_is_written_once()
    {
        Save(4, SplitOf("replicated rows"), step: 3);
        // The first two ranks hold what the other two hold.
        Assert.Equal(
            ["manifest.json", "manifest.json.sha256", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "rng.safetensors", "train_state.json"], FilesOf(3));
        var stored = CheckpointStore.OpenFolder(folder.At("run", "step-3")).Tensors("model.safetensors");
        Assert.Equal(Model.Select(m => m.Name).Order(), stored.Keys.Order());
        foreach (var (name, type, shape) in Model)
        {
            Assert.Equal(type, stored[name].Type);
            Assert.Equal(shape, stored[name].Shape);
            Assert.Equal(shape.Aggregate(1L, (a, b) => a * b), stored[name].Parts.Sum(p => p.Entry.Shape.Aggregate(1L, (a, b) => a * b)));
        }
    }

    [Fact]
    public void Ranks_that_all_hold_everything_write_the_files_of_one_rank_which_earlier_programs_read()
    {
        Save(3, SplitOf("whole"), step: 3);
        var many = FilesOf(3).ToDictionary(f => f, f => File.ReadAllText(folder.At("run", "step-3", f)));
        Save(1, SplitOf("whole"), step: 3);
        Assert.Equal(many, FilesOf(3).ToDictionary(f => f, f => File.ReadAllText(folder.At("run", "step-3", f))));
        Assert.Contains("\"format\": 1,", many["manifest.json"], StringComparison.Ordinal);
        Save(2, SplitOf("rows"), step: 4);
        Assert.Contains("\"format\": 2,", File.ReadAllText(folder.At("run", "step-4", "manifest.json")), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    [InlineData(3)]
    public void A_disk_that_fills_on_one_rank_ends_the_save_on_all_with_one_message_and_loses_nothing(int full)
    {
        Save(4, SplitOf("rows"), step: 3);
        // The header, three tensors at least, and the sync.
        for (var writes = 0; writes < 5; writes++)
        {
            var disk = writes;
            var errors = ThreadRanks.Run(4, world =>
            {
                using var store = Store(world, world.Rank == full ? new FailingDisk(disk) : null);
                return Refused(() => Save(store, world, SplitOf("rows"), 5));
            });
            var error = Assert.Single(errors.Distinct());
            Assert.Contains($"checkpoint step-5 could not be saved in '{folder.At("run")}': rank {full}: No space left on device; earlier checkpoints are untouched", error, StringComparison.Ordinal);
            Assert.Equal([".lock", "step-3"], Directory.EnumerateFileSystemEntries(folder.At("run")).Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal));
        }

        Assert.Empty(Load(2, SplitOf("columns")));
    }

    [Fact]
    public void A_rank_whose_disk_is_slow_is_waited_for_and_no_collective_takes_as_long()
    {
        var longest = ThreadRanks.Run(3, world =>
        {
            var group = new Observed(world);
            using var store = new CheckpointStore(folder.At("run"), 0, writable: true, Warn, group)
            {
                CreateFile = path =>
                {
                    if (world.Rank == 1) Thread.Sleep(7000);
                    return SafetensorsFile.HashedFile.Create(path);
                },
            };
            _ = Save(store, group, SplitOf("rows"), 3);
            return group.Longest;
        });
        Assert.All(longest, l => Assert.InRange(l, TimeSpan.Zero, TimeSpan.FromSeconds(5)));
        Assert.Empty(Load(2, SplitOf("rows")));
    }

    [Fact]
    public void A_rank_that_dies_in_a_save_leaves_the_last_checkpoint_and_the_next_start_cleans_up()
    {
        Save(4, SplitOf("rows"), step: 3);
        var error = Assert.Throws<InvalidOperationException>(() => ThreadRanks.Run(4, world =>
        {
            // Gone after it has written, without a word to the others: two gathers agree on what to write.
            var group = world.Rank == 2 ? new Observed(world, 3) : world;
            using var store = Store(group);
            return Save(store, group, SplitOf("rows"), 5);
        }));
        Assert.Contains("died", error.Message, StringComparison.Ordinal);
        // A process that is killed cannot even tidy up.
        Directory.CreateDirectory(folder.At("run", $".step-5.{new string('a', 32)}.tmp"));
        Assert.Empty(Load(3, SplitOf("rows")));
        Assert.Equal([".lock", "step-3"], Directory.EnumerateFileSystemEntries(folder.At("run")).Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void A_damaged_file_of_one_rank_makes_all_fall_back_to_the_same_step()
    {
        Save(4, SplitOf("rows"), step: 3);
        Save(4, SplitOf("rows"), step: 5);
        foreach (var file in FilesOf(5).Where(f => f.StartsWith("model", StringComparison.Ordinal)).ToList())
        {
            Save(4, SplitOf("rows"), step: 5);
            var path = folder.At("run", "step-5", file);
            var bytes = File.ReadAllBytes(path);
            bytes[^1] ^= 1;
            File.WriteAllBytes(path, bytes);
            warnings.Clear();
            var steps = ThreadRanks.Run(3, world =>
            {
                using var store = Store(world);
                return store.OpenNewest()!.Manifest.Step;
            });
            Assert.All(steps, s => Assert.Equal(3, s));
            Assert.Contains($"step-5 in '{folder.At("run")}' is damaged (the SHA-256 of {file} differs) and was renamed to step-5.corrupt", Assert.Single(warnings), StringComparison.Ordinal);
            Directory.Delete(folder.At("run", "step-5.corrupt"), true);
        }
    }

    [Fact]
    public void What_no_file_holds_is_named_with_its_shape_on_all_ranks()
    {
        // Two ranks say that others hold what nobody does.
        var error = Assert.Single(ThreadRanks.Run(2, world =>
        {
            using var store = Store(world);
            return Refused(() => Save(store, world, (shape, rank, _) => Rows(shape, rank, 3), 3), ExitCode.Plugin);
        }).Distinct());
        Assert.Contains("the ranks together do not hold all of model.safetensors", error, StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateDirectories(folder.At("run")));

        Save(3, SplitOf("rows"), step: 3);
        var checkpoint = folder.At("run", "step-3");
        File.Delete(Path.Combine(checkpoint, "model-00002-of-00003.safetensors"));
        SmallCheckpoint.EditManifest(checkpoint, m =>
        {
            var files = m["files"]!.AsArray();
            files.Remove(files.Single(f => f!["name"]!.GetValue<string>() == "model-00002-of-00003.safetensors"));
        });
        error = Assert.Single(ThreadRanks.Run(2, world => Refused(() => CheckpointStore.OpenFolder(checkpoint, world).ReadInto("model.safetensors", Parts(SplitOf("columns"), world, 0)))).Distinct());
        Assert.Contains("is incomplete: [13..26, 0..3] of embedding [37, 6] is in none of its files; choose another step", error, StringComparison.Ordinal);
    }

    [Fact]
    public void Another_models_names_and_shapes_are_refused_on_all_ranks_before_anything_is_copied()
    {
        Save(2, SplitOf("rows"), step: 3);
        var errors = ThreadRanks.Run(2, world =>
        {
            var targets = Parts(SplitOf("rows"), world, 0).ToList();
            // On one rank alone.
            if (world.Rank == 1) targets[1] = targets[1] with { Name = "wk" };
            var error = Refused(() => CheckpointStore.OpenFolder(folder.At("run", "step-3"), world).ReadInto("model.safetensors", targets));
            Assert.All(targets.Where(t => t.Tensor.dtype == ScalarType.Float32), t => Assert.Equal(0, t.Tensor.sum().item<float>()));
            return error;
        });
        Assert.Contains("1 missing (wk); 1 unexpected (wq)", Assert.Single(errors.Distinct()), StringComparison.Ordinal);
        Assert.Contains("embedding is [37, 6], expected [37, 7]", Assert.Single(ThreadRanks.Run(2, world => Refused(() => CheckpointStore.OpenFolder(folder.At("run", "step-3"), world)
            .ReadInto("model.safetensors", [new TensorPart("embedding", zeros(37, 4), new ShardLayout([37, 7], [0, 0], [37, 4]))]))).Distinct()), StringComparison.Ordinal);
    }

    [Fact]
    public void A_second_run_is_refused_on_all_its_ranks()
    {
        using var first = new CheckpointStore(folder.At("run"), 0, writable: true, warnings.Add);
        Assert.Contains("is in use by another run", Assert.Single(ThreadRanks.Run(3, world => Refused(() => Store(world).Dispose())).Distinct()), StringComparison.Ordinal);
    }

    [Fact]
    public void What_a_file_says_of_its_parts_must_be_possible()
    {
        using var scope = NewDisposeScope();
        var path = folder.At("part.safetensors");
        Write([4, 6], [2, 3]);
        var entry = SafetensorsFile.ReadHeader(path)["w"];
        Assert.Equal("[2..4, 3..6] of [4, 6]", entry.Layout.ToString());
        foreach (var (whole, offset) in new (long[], long[])[] { ([4, 6], [3, 3]), ([4, 6], [-1, 0]), ([4], [0]), ([4, 6, 1], [0, 0, 0]), ([1, 6], [0, 0]), ([long.MaxValue, 6], [0, 0]) })
        {
            Write(whole, offset);
            Assert.Contains("is not a readable safetensors file", Refused(() => SafetensorsFile.ReadHeader(path)), StringComparison.Ordinal);
        }

        void Write(long[] whole, long[] offset)
        {
            File.Delete(path);
            using var file = new SafetensorsFile.HashedFile(SafetensorsFile.HashedFile.Create(path));
            _ = SafetensorsFile.Write(file, [new TensorPart("w", zeros(2, 3), new ShardLayout(whole, offset, [2, 3]))]);
        }
    }

    private static Split SplitOf(string kind) => kind switch
    {
        "rows" => (shape, rank, size) => Rows(shape, rank, size),
        "columns" => (shape, rank, size) => shape.Length < 2 ? ShardLayout.Whole(shape) : Even(ShardLayout.Whole(shape), shape.Length - 1, rank, size),
        // Two columns of ranks, as many rows as that gives.
        "mesh" => (shape, rank, size) => shape.Length < 2 ? Rows(shape, rank / 2, size / 2) : Even(Rows(shape, rank / 2, size / 2), 1, rank % 2, 2),
        "replicated rows" => (shape, rank, size) => Rows(shape, rank % (size / 2), size / 2),
        _ => (shape, _, _) => ShardLayout.Whole(shape),
    };

    /// <summary>Rows as fully sharded data parallelism gives them out: the last ranks may get none.</summary>
    private static ShardLayout Rows(long[] shape, int rank, int size)
    {
        if (shape.Length == 0) return ShardLayout.Whole(shape);
        var each = (shape[0] + size - 1) / size;
        var begin = Math.Min(shape[0], rank * each);
        return ShardLayout.Whole(shape).Narrow(0, begin, Math.Min(each, shape[0] - begin));
    }

    private static ShardLayout Even(ShardLayout layout, int dimension, int rank, int size)
    {
        var length = layout.Shape[dimension];
        return layout.Narrow(dimension, length * rank / size, length * (rank + 1) / size - length * rank / size);
    }

    /// <summary>Every tensor split along a dimension and at places of its own; or not at all.</summary>
    private static Split Grid(int seed) => (shape, rank, size) =>
    {
        var random = new Random(HashCode.Combine(seed, shape.Length, shape.Sum()));
        var dimension = random.Next(shape.Length + 1);
        if (dimension == shape.Length) return ShardLayout.Whole(shape);
        var cuts = Enumerable.Range(0, size - 1).Select(_ => random.NextInt64(shape[dimension] + 1)).Append(0).Append(shape[dimension]).Order().ToList();
        return ShardLayout.Whole(shape).Narrow(dimension, cuts[rank], cuts[rank + 1] - cuts[rank]);
    };

    private static IReadOnlyList<TensorPart> Parts(Split split, IProcessGroup world, long? value = null) =>
        [.. Model.Select(m =>
        {
            var layouts = Enumerable.Range(0, world.Size).Select(r => split(m.Shape, r, world.Size)).ToList();
            var layout = layouts[world.Rank];
            using var whole = Whole(m.Type, m.Shape);
            using var part = layout.Of(whole);
            return new TensorPart(m.Name, value is null ? part.clone() : zeros([.. layout.Shape], dtype: m.Type), layout, layouts.Count(l => l.ToString() == layout.ToString()));
        })];

    /// <summary>A tensor whose elements differ.</summary>
    private static Tensor Whole(ScalarType type, long[] shape)
    {
        using var scope = NewDisposeScope();
        return arange(shape.Aggregate(1L, (a, b) => a * b), dtype: ScalarType.Float32).mul(0.37).remainder(200).to(type).reshape(shape).MoveToOuterDisposeScope();
    }

    private CheckpointStore Store(IProcessGroup world, FailingDisk? disk = null) => disk is null
        ? new(folder.At("run"), 0, writable: true, Warn, world)
        : new(folder.At("run"), 0, writable: true, Warn, world) { CreateFile = disk.Create };

    private void Warn(string warning)
    {
        lock (warnings) warnings.Add(warning);
    }

    private void Save(int ranks, Split split, long step) => ThreadRanks.Run(ranks, world =>
    {
        using var store = Store(world);
        return Save(store, world, split, step);
    });

    private static int Save(CheckpointStore store, IProcessGroup world, Split split, long step)
    {
        using var scope = NewDisposeScope();
        store.Save(step, new CheckpointContents(
            new Dictionary<string, IReadOnlyList<TensorPart>> { ["model.safetensors"] = Parts(split, world), ["rng.safetensors"] = [TensorPart.Whole("torch", arange(7), world.Size)] },
            new Dictionary<string, string> { ["train_state.json"] = "{}" }, new Dictionary<string, string>()));
        return 0;
    }

    /// <summary>Loads the newest checkpoint.</summary>
    /// <returns>The names of the tensors that are not, on some rank, what was saved.</returns>
    private IReadOnlyList<string> Load(int ranks, Split split) => [.. ThreadRanks.Run(ranks, world =>
    {
        using var scope = NewDisposeScope();
        using var store = Store(world);
        var opened = store.OpenNewest()!;
        var read = Parts(split, world, 0);
        opened.ReadInto("model.safetensors", read);
        opened.ReadInto("rng.safetensors", [TensorPart.Whole("torch", zeros(7, dtype: ScalarType.Int64), world.Size)]);
        Assert.Equal("{}", opened.ReadText("train_state.json"));
        return read.Zip(Parts(split, world)).Where(p => !p.First.Tensor.bytes.SequenceEqual(p.Second.Tensor.bytes)).Select(p => $"rank {world.Rank}: {p.First.Name} {p.First.Layout}").ToList();
    }).SelectMany(names => names)];

    private List<string> FilesOf(long step) => [.. Directory.EnumerateFiles(folder.At("run", $"step-{step}")).Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal)];

    private static string Refused(Action action, ExitCode code = ExitCode.Data)
    {
        var error = Assert.Throws<TitanException>(action);
        Assert.Equal(code, error.Code);
        return error.Message;
    }

    /// <summary>A group that may end the rank at its <paramref name="last"/>-th gather, and knows how long a collective took.</summary>
    private sealed class Observed(IProcessGroup inner, int last = int.MaxValue) : IProcessGroup
    {
        private int gathers;

        public TimeSpan Longest { get; private set; }

        public string Name => inner.Name;

        public int Rank => inner.Rank;

        public int Size => inner.Size;

        public IWork AllGatherIntoTensorAsync(Tensor output, Tensor input) =>
            ++gathers == last ? throw new InvalidOperationException("the rank died") : Timed(() => inner.AllGatherIntoTensor(output, input));

        public IWork ReduceScatterTensorAsync(Tensor output, Tensor input) => Timed(() => inner.ReduceScatterTensor(output, input));

        public IWork AllReduceAsync(Tensor tensor, ReduceOperation operation) => Timed(() => inner.AllReduce(tensor, operation));

        public IWork BroadcastAsync(Tensor tensor, int source) => Timed(() => inner.Broadcast(tensor, source));

        public IWork AllToAllSingleAsync(Tensor output, Tensor input) => Timed(() => inner.AllToAllSingle(output, input));

        public IWork AllToAllSingleAsync(Tensor output, Tensor input, IReadOnlyList<long> outputSplits, IReadOnlyList<long> inputSplits) =>
            Timed(() => inner.AllToAllSingle(output, input, outputSplits, inputSplits));

        public IWork BatchSendReceiveAsync(IReadOnlyList<PointToPoint> messages) => Timed(() => inner.BatchSendReceive(messages));

        public void Barrier() => inner.Barrier();

        private CombinedWork Timed(Action collective)
        {
            var watch = Stopwatch.StartNew();
            collective();
            if (watch.Elapsed > Longest) Longest = watch.Elapsed;
            return new CombinedWork([]);
        }
    }
}
