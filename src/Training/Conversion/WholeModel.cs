using Titan.Abstractions;
using Titan.Models;
using Titan.Training.Adapters;
using Titan.Training.Checkpoints;
using static TorchSharp.torch;

namespace Titan.Training.Conversion;

/// <summary>The tensors that a flavor's checkpoints hold, found out on the meta device.</summary>
/// <param name="Name">family/flavor.</param>
/// <param name="Flavor">The flavor.</param>
/// <param name="Parameters">Shapes of the parameters, in their order.</param>
/// <param name="Buffers">The buffers that persist.</param>
internal sealed record WholeModel(string Name, ModelFlavor Flavor, IReadOnlyList<(string Fqn, IReadOnlyList<long> Shape)> Parameters, IReadOnlyList<ModelBuffer> Buffers)
{
    // Any: no persistent tensor depends on it.
    private const int Length = 16;

    private const int Shown = 10;

    /// <summary>The shapes of all.</summary>
    public IReadOnlyList<(string Fqn, IReadOnlyList<long> Shape)> Tensors => [.. Parameters, .. Buffers.Select(b => (b.Fqn, b.Slot.Shape))];

    /// <summary>How it is stored in Hugging Face's checkpoints.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/> when its family does not say.</exception>
    public HuggingFaceFormat HuggingFace => Flavor.HuggingFace?.Invoke() ?? throw new TitanException(ExitCode.Usage, $"model {Name}: its family does not say how it is stored in Hugging Face's checkpoints");

    /// <summary>Finds them out.</summary>
    public static WholeModel Of(string name, ModelFlavor flavor)
    {
        using var scope = NewDisposeScope();
        using var model = flavor.Build(new ModelContext(Length, META, ScalarType.Float32));
        return new WholeModel(name, flavor, [.. ModelParameters.Of(model).Select(p => (p.Fqn, p.Layout.GlobalShape))], [.. ModelParameters.Buffers(model).Where(b => b.Slot.IsPersistent)]);
    }

    /// <summary>Refuses a checkpoint of this program's that is of another model.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> and where its tensors are others, a line each.</exception>
    /// <param name="path">The checkpoint, for the message.</param>
    /// <param name="stored">Its tensors.</param>
    /// <param name="adapters">Those of them that a converter added.</param>
    public void Refuse(string path, IReadOnlyDictionary<string, StoredTensor> stored, StoredAdapters adapters)
    {
        var expected = Tensors.ToDictionary(t => t.Fqn, t => t.Shape);
        string[] differences =
        [
            .. expected.Keys.Where(n => !stored.ContainsKey(n)).Select(n => $"{n} is missing"),
            .. stored.Keys.Where(n => !expected.ContainsKey(n) && !adapters.Names.Contains(n)).Select(n => $"{n} is not of the model"),
            .. expected.Where(e => stored.TryGetValue(e.Key, out var s) && !s.Shape.SequenceEqual(e.Value)).Select(e => $"{e.Key} is [{string.Join(", ", stored[e.Key].Shape)}], expected [{string.Join(", ", e.Value)}]"),
        ];
        if (differences.Length > 0)
            throw new TitanException(ExitCode.Data,
                $"'{path}' is not of model {Name}:{string.Concat(differences.Take(Shown).Select(d => Environment.NewLine + "  " + d))}{(differences.Length > Shown ? $"{Environment.NewLine}  ... and {differences.Length - Shown} more" : "")}");
    }
}
