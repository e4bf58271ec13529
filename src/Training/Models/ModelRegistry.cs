using System.Text.Json.Nodes;
using Titan.Abstractions;
using Titan.Models;
using Titan.Models.Llama3;

namespace Titan.Training.Models;

/// <summary>Model families by name, each with its flavors.</summary>
public sealed class ModelRegistry
{
    private readonly Dictionary<string, IReadOnlyDictionary<string, ModelFlavor>> families = new(StringComparer.Ordinal);

    /// <summary>The names of the families that come with the trainer.</summary>
    public static IReadOnlyList<string> BuiltIn { get; } = [Llama3Family.Name];

    /// <summary>The families that come with the trainer.</summary>
    public static ModelRegistry CreateDefault()
    {
        var registry = new ModelRegistry();
        registry.Register(Llama3Family.Name, new Llama3Family().Flavors);
        return registry;
    }

    /// <summary>What a job may name.</summary>
    public ModelNames Names => new(families.ToDictionary(f => f.Key, f => (IReadOnlyList<string>)[.. f.Value.Keys]));

    /// <summary>Adds a family.</summary>
    /// <exception cref="TitanException">When the name is taken.</exception>
    public void Register(string name, IReadOnlyDictionary<string, ModelFlavor> flavors)
    {
        if (!families.TryAdd(name, flavors)) throw new TitanException(ExitCode.Plugin, $"model family '{name}' is registered twice");
    }

    /// <summary>The flavor of a family that a Hugging Face config.json describes; null for none.</summary>
    public string? FlavorOf(string family, JsonObject config) =>
        families.GetValueOrDefault(family)?.FirstOrDefault(f => f.Value.HuggingFace?.Invoke().Config.Differences(config).Count == 0).Key;

    /// <summary>Finds a flavor.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/>, listing the names.</exception>
    public ModelFlavor Find(string family, string flavor)
    {
        Names.Check(family, flavor);
        return families[family][flavor];
    }
}
