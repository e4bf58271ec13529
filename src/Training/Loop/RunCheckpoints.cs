using System.Text.Json;
using Titan.Abstractions;
using Titan.Distributed;
using Titan.Training.Checkpoints;
using Titan.Training.Configuration;
using Titan.Training.Data;
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
    private readonly string root;
    private readonly IReadOnlyList<ModelParameter> parameters;
    private readonly FusedAdam optimizer;
    private readonly IReadOnlyDictionary<string, string> metadata;
    private readonly Action<string> warn;
    private readonly int lastStep;
    private readonly IProcessGroup world;
    private readonly CheckpointStore? store;
    private long saved = -1;

    /// <param name="config">The job.</param>
    /// <param name="parameters">The parts that this rank holds.</param>
    /// <param name="optimizer">Its moments are split as their parameters are.</param>
    /// <param name="metadata">What made the run.</param>
    /// <param name="warn">Receives warnings, on rank 0.</param>
    /// <param name="world">All ranks, in a group that carries CPU tensors; null for one rank.</param>
    public RunCheckpoints(
        JobConfig config, IReadOnlyList<ModelParameter> parameters, FusedAdam optimizer, IReadOnlyDictionary<string, string> metadata, Action<string> warn, IProcessGroup? world = null)
    {
        this.world = world ?? new SingleRankGroup("world");
        (section, this.parameters, this.optimizer, this.metadata, this.warn) = (config.Checkpoint, parameters, optimizer, metadata, this.world.Rank == 0 ? warn : _ => { });
        lastStep = config.Training.Steps;
        root = Path.Combine(config.Job.DumpFolder, section.Folder);
        if (section.Enable || section.CreateSeedCheckpoint) store = new CheckpointStore(root, section.KeepLatestK, writable: !section.LoadOnly, this.warn, this.world);
    }

    /// <summary>Where a loaded checkpoint left off.</summary>
    public sealed record Loaded(string Folder, long Step, long TokensSeen);

    private sealed record TrainState(long Step, long TokensSeen, long OptimizerSteps);

    /// <summary>Loads the run's own newest checkpoint, else <c>initial_load_path</c>; null for a fresh start.</summary>
    public Loaded? Load(DataLoader data)
    {
        if (store is null || section.CreateSeedCheckpoint) return null;
        var own = section.LoadStep >= 0 ? store.Open(section.LoadStep) : store.OpenNewest();
        if (own is not null)
        {
            if (section.InitialLoadPath is not null) warn($"checkpoint.initial_load_path is not used: '{root}' has a checkpoint of this run");
            return LoadAll(own, data, modelOnly: own.Manifest.Step == 0);
        }

        if (section.InitialLoadPath is not { } path) return null;
        return LoadAll(CheckpointStore.OpenFolder(path, world), data, section.InitialLoadModelOnly);
    }

    public void SaveIfDue(long step, long tokens, DataState data, bool isLast)
    {
        if (isLast || step % section.Interval == 0 || (step == 1 && section.EnableFirstStepCheckpoint)) Save(step, tokens, data, isLast);
    }

    public void Save(long step, long tokens, DataState data, bool isLast)
    {
        // A stop that is asked for during a save finds its step saved.
        if (section.LoadOnly || step == saved) return;
        if (isLast && section.LastSaveModelOnly)
        {
            SaveModel(step);
            return;
        }

        using var random = get_rng_state();
        store!.Save(step, new CheckpointContents(
            new Dictionary<string, IReadOnlyList<TensorPart>> { [ModelFile] = Weights, [OptimizerFile] = Moments, [RandomFile] = [Random(random)] },
            new Dictionary<string, string>
            {
                [StateFile] = JsonSerializer.Serialize(new TrainState(step, tokens, optimizer.Steps)),
                [DataFile] = JsonSerializer.Serialize(data),
            },
            metadata));
        saved = step;
    }

    public void SaveSeed() => SaveModel(0);

    public void Dispose() => store?.Dispose();

    private IReadOnlyList<TensorPart> Weights => [.. parameters.Select(p => new TensorPart(p.Fqn, p.Parameter, p.Layout, p.Copies))];

    private IReadOnlyList<TensorPart> Moments
    {
        get
        {
            var of = parameters.ToDictionary(p => p.Fqn);
            return [.. optimizer.Moments.Select(m => Like(of[m.Name[(m.Name.IndexOf('.') + 1)..]], m))];

            static TensorPart Like(ModelParameter parameter, (string Name, Tensor Tensor) moment) => new(moment.Name, moment.Tensor, parameter.Layout, parameter.Copies);
        }
    }

    /// <summary>
    /// The state of libtorch's generator, of rank 0 for all: ranks are seeded alike and draw alike, and a state of each could not be loaded by another number of ranks. What must
    /// differ between ranks is drawn from a seed and the position in the whole, as the initial weights are.
    /// </summary>
    private TensorPart Random(Tensor state) => TensorPart.Whole("torch", state, world.Size);

    /// <summary>The weights alone, in the dtype to export.</summary>
    private void SaveModel(long step)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        var type = ModelBuilder.TypeOf(section.ExportDtype);
        store!.Save(step, new CheckpointContents(
            new Dictionary<string, IReadOnlyList<TensorPart>> { [ModelFile] = [.. Weights.Select(w => w with { Tensor = w.Tensor.to(type) })] }, new Dictionary<string, string>(), metadata));
    }

    private Loaded LoadAll(OpenedCheckpoint checkpoint, DataLoader data, bool modelOnly)
    {
        var excluded = section.ExcludeFromLoading;
        if (!modelOnly && !checkpoint.Has(StateFile))
        {
            if (checkpoint.Manifest.Step >= lastStep)
                throw new TitanException(ExitCode.Usage,
                    $"'{checkpoint.Folder}' is the end of a finished run of {checkpoint.Manifest.Step} steps: there is nothing left to train; choose another job.dump_folder to start over");
            throw new TitanException(ExitCode.Data,
                $"'{checkpoint.Folder}' holds the weights alone and cannot be resumed; resume an earlier one (checkpoint.load_step), or start from it in a new job.dump_folder with checkpoint.initial_load_path");
        }

        foreach (var (plugin, version) in metadata)
            if (checkpoint.Manifest.Metadata.TryGetValue(plugin, out var saved) && saved != version) warn($"the checkpoint was saved with {plugin} {saved}, this run has {version}");
        if (!excluded.Contains("model")) checkpoint.ReadInto(ModelFile, Weights);
        if (modelOnly) return new Loaded(checkpoint.Folder, 0, 0);

        var state = Parse(checkpoint, StateFile, text => JsonSerializer.Deserialize<TrainState>(text) ?? throw new JsonException("it is empty"));
        if (!excluded.Contains("optimizer"))
        {
            checkpoint.ReadInto(OptimizerFile, Moments);
            optimizer.Steps = state.OptimizerSteps;
        }

        if (!excluded.Contains("dataloader"))
        {
            var position = Parse(checkpoint, DataFile, DataState.Parse);
            // The files may have changed on one machine alone.
            Agreement.All(world, () => data.Restore(position));
        }

        using var random = get_rng_state();
        checkpoint.ReadInto(RandomFile, [Random(random)]);
        set_rng_state(random);
        // The schedule follows from the step, so excluding either starts both over.
        return excluded.Contains("train_state") || excluded.Contains("lr_scheduler") ? new Loaded(checkpoint.Folder, 0, 0) : new Loaded(checkpoint.Folder, state.Step, state.TokensSeen);
    }

    private static T Parse<T>(OpenedCheckpoint checkpoint, string file, Func<string, T> parse)
    {
        try
        {
            return parse(checkpoint.ReadText(file));
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            throw new TitanException(ExitCode.Data, $"'{Path.Combine(checkpoint.Folder, file)}' is not what this program saves there: {e.Message}; choose another step", e);
        }
    }
}
