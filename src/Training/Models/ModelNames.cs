using Titan.Abstractions;

namespace Titan.Training.Models;

/// <summary>The models that a job may name: known without the code that makes them.</summary>
/// <param name="Flavors">The flavors of each family.</param>
public sealed record ModelNames(IReadOnlyDictionary<string, IReadOnlyList<string>> Flavors)
{
    /// <summary>Families that are here and cannot be used, with whose they are and why.</summary>
    public IReadOnlyDictionary<string, string> Unusable { get; init; } = new Dictionary<string, string>();

    /// <summary>Throws for a name that is none.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/>, listing the names; with <see cref="ExitCode.Plugin"/> for a family that cannot be used.</exception>
    public void Check(string family, string flavor)
    {
        if (!Flavors.TryGetValue(family, out var flavors))
        {
            if (Unusable.TryGetValue(family, out var why)) throw new TitanException(ExitCode.Plugin, $"model.name = '{family}' belongs to {why}");
            throw new TitanException(ExitCode.Usage, $"model.name = '{family}': no such model; known: {string.Join(", ", Flavors.Keys)}{Nearest.Hint(family, Flavors.Keys)}");
        }

        if (!flavors.Contains(flavor))
            throw new TitanException(ExitCode.Usage, $"model.flavor = '{flavor}': '{family}' has no such flavor; known: {string.Join(", ", flavors)}{Nearest.Hint(flavor, flavors)}");
    }
}
