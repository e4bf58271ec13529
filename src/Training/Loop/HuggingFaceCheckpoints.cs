using System.Text.Json.Nodes;
using Titan.Abstractions;
using Titan.Models;
using Titan.Training.Checkpoints;
using Titan.Training.Configuration;
using Titan.Training.HuggingFace;
using static TorchSharp.torch;

namespace Titan.Training.Loop;

/// <summary>
/// What a run takes from Hugging Face's checkpoints, and leaves as one (<c>checkpoint.initial_load_in_hf</c>, <c>checkpoint.last_save_in_hf</c>). All ranks make one and call the same
/// members in the same order.
/// </summary>
/// <param name="config">The job.</param>
/// <param name="format">How the flavor is stored.</param>
/// <param name="assets">The folder of <c>model.hf_assets_path</c>.</param>
/// <param name="warn">Receives warnings, on rank 0.</param>
/// <param name="world">All ranks.</param>
/// <param name="flavorOf">Finds the flavor of the family that a config.json describes.</param>
internal sealed class HuggingFaceCheckpoints(JobConfig config, HuggingFaceFormat format, string assets, Action<string> warn, IProcessGroup world, Func<JsonObject, string?> flavorOf)
{
    private InitialWeights? initial;

    /// <summary>The weights of low-rank adapters: at the end they are merged into others, so the layout needs no place for them.</summary>
    public IReadOnlySet<string> Merged { get; init; } = new HashSet<string>();

    /// <summary>The weights to start from, compared with the flavor when they are first asked for.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> and all that does not fit.</exception>
    public InitialWeights Initial => initial ??= new InitialWeights(config.Checkpoint.InitialLoadPath is { } path ? Open(path, "checkpoint.initial_load_path") : Open(assets, "model.hf_assets_path"));

    /// <summary>Refuses what the run would find only at its start, or at its end: called before the model takes memory.</summary>
    /// <param name="model">The model's parameters and buffers, of any device.</param>
    /// <returns>The parameters that are going to be loaded; null where the run does not start from Hugging Face weights.</returns>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/>.</exception>
    public IReadOnlySet<string>? Prepare(LanguageModel model)
    {
        var parameters = ModelParameters.Of(model);
        if (config.Checkpoint.LastSaveInHf)
        {
            var buffers = ModelParameters.Buffers(model).Where(b => b.Slot.IsPersistent).Select(b => (b.Fqn, b.Slot.Shape, b.Slot.Type));
            _ = ExportPlan.Of(format, [.. parameters.Where(p => !Merged.Contains(p.Fqn)).Select(p => (p.Fqn, p.Layout.GlobalShape, p.Parameter.dtype)), .. buffers]);
        }

        if (!config.Checkpoint.InitialLoadInHf || config.Checkpoint.ExcludeFromLoading.Contains("model") || HasOwn()) return null;
        return Initial.Filled(parameters, model.Added.Keys.ToHashSet());
    }

    /// <summary>A checkpoint in Hugging Face's layout.</summary>
    /// <param name="file">What our layout calls the file of the weights.</param>
    /// <param name="weights">This rank's parts.</param>
    /// <param name="buffers">Those of them that keep their dtype.</param>
    /// <param name="type">The dtype of the others; null for their own.</param>
    /// <param name="metadata">What made it.</param>
    public CheckpointContents Contents(string file, IReadOnlyList<TensorPart> weights, IReadOnlySet<string> buffers, ScalarType? type, IReadOnlyDictionary<string, string> metadata)
    {
        var all = Agreement.All(world, () => weights.Select(w => new Exported(w.Name, [.. w.Layout.GlobalShape], buffers.Contains(w.Name) ? w.Tensor.dtype : type ?? w.Tensor.dtype)).ToList())
            .SelectMany(w => w).DistinctBy(w => w.Fqn).ToList();
        if (ExportPlan.Left(format, all.Select(w => w.Fqn)) is { } left) warn(left);
        var groups = Agreement.OnFirst(world, () => ExportAssets.FilesOf(assets)?.ToDictionary());
        var layout = ExportLayout.Make(ExportPlan.Of(format, [.. all.Select(w => (w.Fqn, (IReadOnlyList<long>)w.Shape, w.Type))]), groups);
        var main = all.First(w => !buffers.Contains(w.Fqn)).Type;
        var besides = new ExportAssets(new Dictionary<string, string>(), new Dictionary<string, string>());
        Agreement.OnFirst(world, () => besides = ExportAssets.Of(format.Config, assets, main));
        return new CheckpointContents(new Dictionary<string, IReadOnlyList<TensorPart>> { [file] = weights }, layout.With(besides.Texts), metadata) { Copies = besides.Copies, Files = new ExportFiles(layout, format) };
    }

    private HuggingFaceWeights Open(string path, string key) =>
        HuggingFaceWeights.Open(path, key, $"{config.Model.Name}/{config.Model.Flavor}", format, warn, world, config.Checkpoint.InitialLoadInHfQuantized, flavorOf);

    private bool HasOwn() => Agreement.OnFirst(world, () => new StepFolders(RunCheckpoints.RootOf(config), _ => { }).Committed.Count > 0);

    private sealed record Exported(string Fqn, long[] Shape, ScalarType Type);
}

/// <summary>Hugging Face weights that a run starts from.</summary>
/// <param name="weights">The folder.</param>
internal sealed class InitialWeights(HuggingFaceWeights weights)
{
    /// <summary>The folder.</summary>
    public string Root => weights.Root;

    /// <summary>Bytes of all its tensors.</summary>
    public long Bytes => weights.Bytes;

    /// <summary>The parameters that the folder fills.</summary>
    public IReadOnlySet<string> Filled(IReadOnlyList<ModelParameter> parameters, IReadOnlySet<string> added)
    {
        var own = parameters.Where(p => !added.Contains(p.Fqn)).ToList();
        return own.Select(p => p.Fqn).Except(weights.NotFilled(own.Select(p => (p.Fqn, p.Layout.GlobalShape)))).ToHashSet();
    }

    /// <summary>Fills this rank's parts.</summary>
    /// <param name="parts">Of all parameters, and of the buffers that persist.</param>
    /// <param name="added">The parameters that converters added, which no such folder has.</param>
    /// <returns>What keeps its first value, and what was read, in words.</returns>
    public (IReadOnlyList<string> Fresh, string Read) Load(IReadOnlyList<TensorPart> parts, IReadOnlySet<string> added)
    {
        var fresh = parts.Select(p => p.Name).Where(added.Contains).Concat(weights.NotFilled(parts.Where(p => !added.Contains(p.Name)).Select(p => (p.Name, p.Layout.GlobalShape)))).ToHashSet();
        weights.Load([.. parts.Where(p => !fresh.Contains(p.Name))]);
        return ([.. fresh.Order(StringComparer.Ordinal)], $" ({weights.BytesRead / 1e6:N1} of {weights.Bytes / 1e6:N1} MB read)");
    }
}
