using System.Text.Json;
using Titan.Abstractions;
using Titan.Distributed;
using Titan.Training.Adapters;
using Titan.Training.Checkpoints;
using Titan.Training.Configuration;
using Titan.Training.Data;
using Titan.Training.Models;
using Titan.Training.Optimization;
using static TorchSharp.torch;

namespace Titan.Training.Loop;

/// <summary>
/// What a run saves and loads, and when (upstream's <c>[checkpoint]</c>). All ranks make one and call the same members in the same order; each saves and loads the parts that it
/// holds, so that a run goes on with any other split of its parameters.
/// </summary>
internal sealed class RunCheckpoints : IDisposable
{
    private const string ModelFile = "model.safetensors", OptimizerFile = "optimizer.safetensors", RandomFile = "rng.safetensors", StateFile = "train_state.json", DataFile = "dataloader.json";

    private readonly CheckpointSection section;
    private readonly string dumpFolder, root;
    private readonly IReadOnlyList<ModelParameter> parameters;
    private readonly FusedAdam optimizer;
    private readonly IReadOnlyDictionary<string, string> metadata;
    private readonly Action<string> warn, log;
    private readonly int lastStep;
    private readonly IProcessGroup world;
    private readonly CheckpointStore? store;
    private long saved = -1;

    // From which counts this run goes on.
    private TrainState start = new(0, 0, 0) { SchedulerSteps = 0 };

    // The step of its own that it goes on from, and what is not yet superseded after it; null for a fresh start.
    private long? loadedStep, branch;

    /// <param name="config">The job.</param>
    /// <param name="parameters">The parts that this rank holds.</param>
    /// <param name="optimizer">Its moments are split as their parameters are.</param>
    /// <param name="metadata">What made the run besides the job: plugins, and the options of converters.</param>
    /// <param name="warn">Receives warnings, on rank 0.</param>
    /// <param name="world">All ranks, in a group that carries CPU tensors; null for one rank.</param>
    /// <param name="log">Receives log lines; null for nobody.</param>
    public RunCheckpoints(
        JobConfig config, IReadOnlyList<ModelParameter> parameters, FusedAdam optimizer, IReadOnlyDictionary<string, string> metadata, Action<string> warn, IProcessGroup? world = null, Action<string>? log = null)
    {
        this.world = world ?? new SingleRankGroup("world");
        (section, this.parameters, this.optimizer, this.warn) = (config.Checkpoint, parameters, optimizer, this.world.Rank == 0 ? warn : _ => { });
        this.log = log ?? (_ => { });
        this.metadata = CheckpointOrigin.Of(config, metadata);
        lastStep = config.Training.Steps;
        dumpFolder = config.Job.DumpFolder;
        root = RootOf(config);
        if (section.Enable || section.CreateSeedCheckpoint) store = new CheckpointStore(root, section.KeepLatestK, writable: !section.LoadOnly, this.warn, this.world);
    }

    /// <summary>The model's buffers; those that persist are saved and loaded with the weights.</summary>
    public IReadOnlyList<ModelBuffer> Buffers { get; init; } = [];

    /// <summary>The parameters that converters added: weights that are loaded as a start need not have them.</summary>
    public IReadOnlySet<string> Added { get; init; } = new HashSet<string>();

    /// <summary>The low-rank adapters that converters added; null for none. They are saved apart when the run ends.</summary>
    public AdapterExport? Adapters { get; init; }

    /// <summary>Hugging Face's checkpoints, for a job that starts from one or ends with one.</summary>
    public HuggingFaceCheckpoints? HuggingFace { get; init; }

    /// <summary>Where a loaded checkpoint left off.</summary>
    /// <param name="Folder">The checkpoint.</param>
    /// <param name="Step">The step to count from.</param>
    /// <param name="TokensSeen">The tokens to count from.</param>
    /// <param name="SchedulerSteps">Steps of the learning rate's schedule that are behind.</param>
    /// <param name="Without">The parts that were not loaded.</param>
    public sealed record Loaded(string Folder, long Step, long TokensSeen, long SchedulerSteps, IReadOnlyList<string> Without)
    {
        /// <summary>Parameters that are not in it and keep what they were initialised with.</summary>
        public IReadOnlyList<string> New { get; init; } = [];

        /// <summary>What was loaded, in words.</summary>
        public string What { get; init; } = "checkpoint";

        /// <summary>How much was read, in words; empty where nothing is said.</summary>
        public string Read { get; init; } = "";
    }

    /// <summary>The folder of a job's checkpoints.</summary>
    public static string RootOf(JobConfig config) => Path.Combine(config.Job.DumpFolder, config.Checkpoint.Folder);

    /// <summary>Loads the run's own newest checkpoint, else <c>initial_load_path</c>, else Hugging Face weights of <c>model.hf_assets_path</c>; null for a fresh start.</summary>
    public Loaded? Load(DataLoader data)
    {
        if (store is null || section.CreateSeedCheckpoint) return null;
        var own = section.LoadStep >= 0 ? store.Open(section.LoadStep) : store.OpenNewest();
        if (own is not null)
        {
            foreach (var unused in new[] { section.InitialLoadPath is null ? null : "initial_load_path", section.InitialLoadInHf ? "initial_load_in_hf" : null }.OfType<string>())
                warn($"checkpoint.{unused} is not used: '{root}' has a checkpoint of this run");
            var loaded = LoadAll(own, data, modelOnly: own.Manifest.Step == 0 && !own.Has(StateFile));
            loadedStep = branch = loaded.Step;
            WarnOfBranch(own.Manifest.Step, loaded.Step);
            return loaded;
        }

        if (section.InitialLoadInHf) return LoadHuggingFace();
        if (section.InitialLoadPath is not { } path) return null;
        return LoadAll(CheckpointStore.OpenFolder(path, world), data, section.InitialLoadModelOnly);
    }

    public void SaveIfDue(long step, long tokens, DataState data, bool isLast)
    {
        if (isLast || step % section.Interval == 0 || (step == 1 && section.EnableFirstStepCheckpoint)) Save(step, tokens, data, isLast);
    }

    public void Save(long step, long tokens, DataState data, bool isLast)
    {
        // What was loaded is there, with all its parts, and whoever took no step has nothing to put in its place. A stop that is asked for during a save finds its step saved.
        if (section.LoadOnly || step == loadedStep || step == saved) return;
        // First what is small: when its disk is full, the run goes on from the checkpoint before.
        var folder = Path.Combine(dumpFolder, "adapter", $"step-{step}");
        if (isLast && Adapters is not null && Adapters.Save(folder)) log($"Saved the adapters in PEFT's format: {folder}");
        if (!isLast || !section.LastSaveModelOnly) SaveAll(step, tokens, data);
        else if (section.LastSaveInHf) SaveHuggingFace(step);
        else SaveModel(step);
    }

    public void SaveSeed() => SaveModel(0);

    public void Dispose() => store?.Dispose();

    private void SaveAll(long step, long tokens, DataState data)
    {
        using var random = get_rng_state();
        store!.Save(step, new CheckpointContents(
            new Dictionary<string, IReadOnlyList<TensorPart>> { [ModelFile] = Weights, [OptimizerFile] = Moments, [RandomFile] = [Random(random)] },
            new Dictionary<string, string>
            {
                [StateFile] = (start with { Step = step, TokensSeen = tokens, OptimizerSteps = optimizer.Steps, SchedulerSteps = start.SchedulerSteps + step - start.Step }).ToJson(),
                [DataFile] = JsonSerializer.Serialize(data),
            },
            Origin), branch);
        branch = null;
        saved = step;
    }

    /// <summary>What made the weights, and which of them are adapters.</summary>
    private IReadOnlyDictionary<string, string> Origin => Adapters is null ? metadata : StoredAdapters.Add(metadata, Adapters.List);

    private IReadOnlyList<TensorPart> Weights => [.. parameters.Select(p => new TensorPart(p.Fqn, p.Parameter, p.Layout, p.Replicas)), .. Kept];

    /// <summary>Every rank has all of each.</summary>
    private IEnumerable<TensorPart> Kept => Buffers.Where(b => b.Slot.IsPersistent).Select(b => TensorPart.Whole(b.Fqn, b.Slot.Tensor, world.Size));

    private IReadOnlyList<TensorPart> Moments
    {
        get
        {
            var of = parameters.ToDictionary(p => p.Fqn);
            return [.. optimizer.Moments.Select(m => Like(of[m.Name[(m.Name.IndexOf('.') + 1)..]], m))];

            static TensorPart Like(ModelParameter parameter, (string Name, Tensor Tensor) moment) => new(moment.Name, moment.Tensor, parameter.Layout, parameter.Replicas);
        }
    }

    /// <summary>
    /// The state of libtorch's generator, of rank 0 for all: ranks are seeded alike and draw alike, and a state of each could not be loaded by another number of ranks. What must
    /// differ between ranks is drawn from a seed and the position in the whole, as the initial weights are.
    /// </summary>
    private TensorPart Random(Tensor state) => TensorPart.Whole("torch", state, world.Size);

    /// <summary>The weights alone, in the dtype to export, and buffers in their own.</summary>
    private void SaveModel(long step)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        var weights = Weights;
        if (ExportType(step, weights) is { } type) weights = [.. weights.SkipLast(Kept.Count()).Select(w => w with { Tensor = w.Tensor.to(type) }), .. Kept];
        SaveWeights(step, new CheckpointContents(new Dictionary<string, IReadOnlyList<TensorPart>> { [ModelFile] = weights }, new Dictionary<string, string>(), Origin));
    }

    /// <summary>Another program's model has no place for adapters: they are merged into the weights.</summary>
    private void SaveHuggingFace(long step)
    {
        using var scope = NewDisposeScope();
        var weights = Adapters?.Merge(Weights) ?? Weights;
        SaveWeights(step, HuggingFace!.Contents(ModelFile, weights, Kept.Select(b => b.Name).ToHashSet(), ExportType(step, weights), metadata));
    }

    private void SaveWeights(long step, CheckpointContents contents)
    {
        store!.Save(step, contents, branch);
        branch = null;
    }

    /// <summary>The dtype to export; null, with a warning, where it cannot hold a weight: there is nothing else of the weights, so they keep their own.</summary>
    private ScalarType? ExportType(long step, IReadOnlyList<TensorPart> weights)
    {
        var type = ModelBuilder.TypeOf(section.ExportDtype);
        var tooLarge = Agreement.All(world, () => Finiteness.FirstNonFinite(weights) is null ? Finiteness.FirstNonFinite(weights.SkipLast(Kept.Count()), type) : null).FirstOrDefault(t => t is not null);
        if (tooLarge is null) return type;
        warn($"checkpoint.export_dtype = {section.ExportDtype} cannot hold the values of {tooLarge}: step-{step} is saved in the dtype of the weights");
        return null;
    }

    private Loaded LoadHuggingFace()
    {
        var excluded = section.ExcludeFromLoading.Where(e => e == "model").ToArray();
        var weights = HuggingFace!.Initial;
        var (fresh, read) = excluded.Length > 0 ? ([], "") : weights.Load(Weights, Added);
        return new Loaded(weights.Root, 0, 0, 0, excluded) { New = fresh, What = "Hugging Face weights", Read = read };
    }

    private Loaded LoadAll(OpenedCheckpoint checkpoint, DataLoader data, bool modelOnly)
    {
        if (modelOnly && checkpoint.IsHuggingFace)
            throw new TitanException(ExitCode.Data, $"'{checkpoint.Folder}' holds weights in Hugging Face's format: load it with checkpoint.initial_load_in_hf = true");
        if (!modelOnly && !checkpoint.Has(StateFile))
        {
            if (checkpoint.Manifest.Step >= lastStep)
                throw new TitanException(ExitCode.Usage,
                    $"'{checkpoint.Folder}' is the end of a finished run of {checkpoint.Manifest.Step} steps: there is nothing left to train; choose another job.dump_folder to start over");
            throw new TitanException(ExitCode.Data,
                $"'{checkpoint.Folder}' holds the weights alone{(checkpoint.IsHuggingFace ? ", in Hugging Face's format," : "")} and cannot be resumed; resume an earlier one (checkpoint.load_step), or start from it in a new job.dump_folder with checkpoint.initial_load_path{(checkpoint.IsHuggingFace ? " and checkpoint.initial_load_in_hf" : "")}");
        }

        // All that is wanted is read and checked; then it is taken.
        var take = new List<Action>();
        IReadOnlyList<string> fresh = modelOnly && Wants("model") && Added.Count > 0 ? Agreement.OnFirst(world, () => Added.Except(checkpoint.Tensors(ModelFile).Keys).Order(StringComparer.Ordinal).ToArray()) : [];
        if (Wants("model")) take.Add(checkpoint.Prepare(ModelFile, [.. Weights.Where(w => !fresh.Contains(w.Name))]));
        CheckpointOrigin.Compare(checkpoint.Folder, checkpoint.Manifest.Metadata, metadata, modelOnly, warn);
        if (modelOnly)
        {
            take.ForEach(t => t());
            return new Loaded(checkpoint.Folder, 0, 0, 0, [.. section.ExcludeFromLoading.Where(e => e == "model")]) { New = fresh };
        }

        var state = Parse(checkpoint, StateFile, text => TrainState.Parse(text, checkpoint.Manifest.Step));
        start = Wants("train_state") ? state : new TrainState(0, 0, 0) { EarlierSteps = state.Step + state.EarlierSteps, EarlierTokens = state.TokensSeen + state.EarlierTokens };
        start = start with { SchedulerSteps = Wants("lr_scheduler") ? state.SchedulerSteps ?? state.Step : 0 };
        if (Wants("optimizer"))
        {
            take.Add(checkpoint.Prepare(OptimizerFile, Moments));
            take.Add(() => TakeMoments(checkpoint, state.OptimizerSteps));
        }

        if (Wants("train_state")) take.Add(PrepareRandom(checkpoint));
        if (Wants("dataloader"))
        {
            var position = Parse(checkpoint, DataFile, text =>
            {
                var read = DataState.Parse(text);
                if (state.AllTokens is { } tokens) read.ThrowIfBeyond(tokens);
                return read;
            });
            // The files may have changed on one machine alone. The loader checks before it moves.
            Agreement.All(world, () => data.Restore(position));
        }

        take.ForEach(t => t());
        return new Loaded(checkpoint.Folder, start.Step, start.TokensSeen, start.SchedulerSteps!.Value, section.ExcludeFromLoading);

        bool Wants(string part) => !section.ExcludeFromLoading.Contains(part);
    }

    /// <summary>No step makes a mean of squares negative, and the root of one would make the weights NaN.</summary>
    private void TakeMoments(OpenedCheckpoint checkpoint, long steps)
    {
        var negative = Agreement.All(world, () => Finiteness.FirstNegative(Moments.Where(m => FusedAdam.IsSquare(m.Name)))).FirstOrDefault(n => n is not null);
        if (negative is not null) throw new TitanException(ExitCode.Data, $"checkpoint '{checkpoint.Folder}' ({OptimizerFile}): {negative} is negative, a mean of squares never is; choose another step");
        optimizer.Steps = steps;
    }

    private Action PrepareRandom(OpenedCheckpoint checkpoint)
    {
        var state = get_rng_state();
        checkpoint.ReadInto(RandomFile, [Random(state)]);
        if (RandomState.Fault(state.bytes) is { } fault)
            throw new TitanException(ExitCode.Data, $"checkpoint '{checkpoint.Folder}' ({RandomFile}) holds no state of a generator: {fault}; choose another step, or go without with --checkpoint.exclude_from_loading train_state");
        return () =>
        {
            set_rng_state(state);
            state.Dispose();
        };
    }

    /// <summary>Going on from an earlier place than the newest leaves what is later; the first save says under which name.</summary>
    private void WarnOfBranch(long saved, long from)
    {
        if (section.LoadOnly) return;
        var left = Agreement.OnFirst(world, () => store!.Steps.Where(s => s > from).ToArray());
        if (left.Length == 0) return;
        var why = from < saved ? "checkpoint.exclude_from_loading train_state counts the steps anew" : $"checkpoint.load_step = {section.LoadStep}";
        warn($"{why}: training leaves {string.Join(", ", left.Select(s => $"step-{s}"))}, which become step-N.superseded when this run first saves; the next start without this key goes on with what this run saves");
    }

    private static T Parse<T>(OpenedCheckpoint checkpoint, string file, Func<string, T> parse)
    {
        try
        {
            return checkpoint.Has(file) ? parse(checkpoint.ReadText(file)) : throw new JsonException("it is missing");
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException or InvalidOperationException)
        {
            throw new TitanException(ExitCode.Data, $"'{Path.Combine(checkpoint.Folder, file)}' is not what this program saves there: {e.Message}; choose another step", e);
        }
    }
}
