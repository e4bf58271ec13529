using Titan.Abstractions;
using Titan.Models;

namespace Titan.Training.Models;

/// <summary>Model families by name, each with its flavors.</summary>
public sealed class ModelRegistry
{
    private readonly Dictionary<string, IReadOnlyDictionary<string, ModelFlavor>> families = new(StringComparer.Ordinal);

    /// <summary>The families that come with the trainer.</summary>
    public static ModelRegistry CreateDefault()
    {
        var registry = new ModelRegistry();
        registry.Register("llama3", new Titan.Models.Llama3.Llama3Family().Flavors);
        return registry;
    }

    /// <summary>The names of the families.</summary>
    public IEnumerable<string> Families => families.Keys;

    /// <summary>Adds a family.</summary>
    /// <exception cref="TitanException">When the name is taken.</exception>
    public void Register(string name, IReadOnlyDictionary<string, ModelFlavor> flavors)
    {
        if (!families.TryAdd(name, flavors)) throw new TitanException(ExitCode.Plugin, $"model family '{name}' is registered twice");
    }

    /// <summary>Finds a flavor.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/>, listing the names.</exception>
    public ModelFlavor Find(string family, string flavor)
    {
        if (!families.TryGetValue(family, out var flavors))
            throw new TitanException(ExitCode.Usage, $"model.name = '{family}': no such model; known: {string.Join(", ", families.Keys)}{Nearest.Hint(family, families.Keys)}");
        return flavors.TryGetValue(flavor, out var found)
            ? found
            : throw new TitanException(ExitCode.Usage, $"model.flavor = '{flavor}': '{family}' has no such flavor; known: {string.Join(", ", flavors.Keys)}{Nearest.Hint(flavor, flavors.Keys)}");
    }
}
