using Titan.Abstractions;
using Titan.Models;
using Titan.Training.Checkpoints;
using static TorchSharp.torch;

namespace Titan.Training.Adapters;

/// <summary>What becomes of a run's low-rank adapters at its end: a folder in PEFT's format, and weights with which they are merged. All ranks make one and call the same members.</summary>
internal sealed class AdapterExport
{
    private readonly IReadOnlyList<LowRankAdapter> adapters;
    private readonly IReadOnlyList<ModelParameter> parameters;
    private readonly IProcessGroup world;
    private readonly PeftFolder? peft;

    /// <param name="adapters">The adapters; one or more.</param>
    /// <param name="parameters">The parts that this rank holds.</param>
    /// <param name="format">The family's layout in Hugging Face's checkpoints; null where it has none.</param>
    /// <param name="baseModel">Where the base model is; null where that is not known.</param>
    /// <param name="world">All ranks.</param>
    /// <param name="warn">Told why there will be no folder.</param>
    public AdapterExport(IReadOnlyList<LowRankAdapter> adapters, IReadOnlyList<ModelParameter> parameters, HuggingFaceFormat? format, string? baseModel, IProcessGroup world, Action<string> warn)
    {
        (this.adapters, this.parameters, this.world) = (adapters, parameters, world);
        try
        {
            peft = PeftFolder.Of(adapters, parameters, format, baseModel);
        }
        catch (TitanException e)
        {
            warn($"the adapters will be in the checkpoints alone, not in PEFT's format: {e.Message}");
        }
    }

    /// <summary>The adapters.</summary>
    public IReadOnlyList<LowRankAdapter> List => adapters;

    /// <summary>Writes the folder in PEFT's format.</summary>
    /// <param name="folder">The folder.</param>
    /// <returns>Whether there is one.</returns>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> on all ranks, when it cannot be written.</exception>
    public bool Save(string folder)
    {
        if (peft is null) return false;
        using var scope = NewDisposeScope();
        var wholes = AdapterWeights.Gather(adapters, parameters, world);
        Agreement.OnFirst(world, () =>
        {
            try
            {
                peft.Write(folder, wholes);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new TitanException(ExitCode.Data, $"the adapters cannot be written to '{folder}': {e.Message}; free the place and run the same command again", e);
            }
        });
        return true;
    }

    /// <summary>The weights with the adapters merged into them, and without them: those of a model that knows no adapters. The caller's scope gets what is new.</summary>
    public IReadOnlyList<TensorPart> Merge(IReadOnlyList<TensorPart> weights)
    {
        var wholes = AdapterWeights.Gather(adapters, parameters, world);
        var of = adapters.ToDictionary(a => a.Weight);
        return [.. weights.Where(w => !wholes.ContainsKey(w.Name)).Select(w => of.TryGetValue(w.Name, out var adapter) ? AdapterWeights.Merge(w, adapter, wholes) : w)];
    }
}
