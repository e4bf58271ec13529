using System.Text.Json.Nodes;
using Titan.Abstractions;
using Titan.Distributed;
using Titan.Models;
using Titan.Training.Checkpoints;

namespace Titan.Training.HuggingFace;

/// <summary>A Hugging Face folder that fits a flavor: ranks take from it what they hold.</summary>
internal sealed class HuggingFaceWeights
{
    private readonly HuggingFaceFolder folder;
    private readonly HuggingFaceFormat format;
    private readonly IProcessGroup world;

    private HuggingFaceWeights(HuggingFaceFolder folder, HuggingFaceFormat format, IProcessGroup world) => (this.folder, this.format, this.world) = (folder, format, world);

    /// <summary>The folder.</summary>
    public string Root => folder.Root;

    private IStateDictAdapter Adapter => FolderCheck.AdapterOf(folder, format);

    /// <summary>Bytes of all its tensors.</summary>
    public long Bytes => folder.Bytes;

    /// <summary>Bytes of tensors that this rank has read.</summary>
    public long BytesRead { get; private set; }

    /// <summary>Opens a folder and compares it with a flavor. Reads headers alone; all ranks call it.</summary>
    /// <param name="path">The folder.</param>
    /// <param name="key">What named it, for messages.</param>
    /// <param name="model">The flavor, for messages.</param>
    /// <param name="format">How the flavor is stored.</param>
    /// <param name="warn">Receives warnings.</param>
    /// <param name="world">All ranks.</param>
    /// <param name="quantised">Whether weights may be quantised.</param>
    /// <param name="flavorOf">Finds the flavor that a config.json describes, for the message.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> and all that does not fit, a line each; on all ranks alike.</exception>
    public static HuggingFaceWeights Open(
        string path, string key, string model, HuggingFaceFormat format, Action<string> warn, IProcessGroup? world = null, bool quantised = false, Func<JsonObject, string?>? flavorOf = null)
    {
        world ??= new SingleRankGroup("world");
        HuggingFaceFolder folder = null!;
        Agreement.All(world, () =>
        {
            folder = HuggingFaceFolder.Open(path, key);
            Refuse(folder, format, $"{key} = '{path}' cannot be loaded into {model}", warn, quantised, flavorOf);
            if (quantised && folder.Quantised.Count == 0) warn($"checkpoint.initial_load_in_hf_quantized has no effect: no weight of '{path}' is quantised");
        });
        return new HuggingFaceWeights(folder, format, world);
    }

    /// <summary>Refuses a folder that is not of a flavor.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="format">How the flavor is stored.</param>
    /// <param name="refusal">How the message begins.</param>
    /// <param name="warn">Receives warnings.</param>
    /// <param name="quantised">Whether weights may be quantised.</param>
    /// <param name="flavorOf">Finds the flavor that a config.json describes, for the message.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> and all that does not fit, a line each.</exception>
    public static void Refuse(HuggingFaceFolder folder, HuggingFaceFormat format, string refusal, Action<string> warn, bool quantised, Func<JsonObject, string?>? flavorOf = null)
    {
        var check = FolderCheck.Of(folder, format, quantised);
        if (check.Errors.Count > 0)
        {
            var fits = folder.Config is { } config && format.Config.Differences(config).Count > 0 ? flavorOf?.Invoke(config) : null;
            throw new TitanException(ExitCode.Data, $"{refusal}{(fits is null ? "" : $"; its config.json is that of model.flavor = {fits}")}:{string.Concat(check.Errors.Select(e => Environment.NewLine + "  " + e))}");
        }

        foreach (var warning in check.Warnings) warn(warning);
    }

    /// <summary>The tensors of a model that the folder does not fill: they keep their first value.</summary>
    /// <param name="whole">The model's tensors, with their shapes.</param>
    public IReadOnlyList<string> NotFilled(IEnumerable<(string Fqn, IReadOnlyList<long> Shape)> whole) =>
        [.. whole.Where(t => format.NotStored.Contains(t.Fqn) || Adapter.PiecesOf(t.Fqn, ShardLayout.Whole(t.Shape)).Any(p => !folder.Tensors.ContainsKey(p.Foreign))).Select(t => t.Fqn)];

    /// <summary>Fills this rank's parts: each element is read once, a chunk at a time, file by file. All ranks call it.</summary>
    /// <param name="parts">On any device, of any dtype of floats.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when a tensor holds NaN or infinity, or a file cannot be read.</exception>
    public void Load(IReadOnlyList<TensorPart> parts)
    {
        try
        {
            Agreement.All(world, () =>
            {
                using var reader = new PieceReader(folder);
                reader.Fill(parts.SelectMany(p => Adapter.PiecesOf(p.Name, p.Layout).Select(piece => (p.Tensor, piece))));
                BytesRead += reader.BytesRead;
                if (Finiteness.FirstNonFinite(parts) is { } broken) throw new TitanException(ExitCode.Data, $"'{Root}': {broken} holds NaN or infinity");
            });
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new TitanException(ExitCode.Data, $"'{Root}' cannot be read: {e.Message}", e);
        }
    }
}
