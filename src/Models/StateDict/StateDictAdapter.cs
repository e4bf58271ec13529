using Titan.Abstractions;

namespace Titan.Models;

/// <summary>An adapter that is a list of rules, one for each of our tensors.</summary>
public sealed class StateDictAdapter : IStateDictAdapter
{
    private readonly Dictionary<string, TensorRule> rules;

    /// <summary>Makes the adapter.</summary>
    /// <param name="rules">A rule for every tensor of ours. Where two share a foreign tensor they agree about its shape.</param>
    /// <exception cref="ArgumentException">When two rules have one name, or a foreign tensor two shapes.</exception>
    public StateDictAdapter(IEnumerable<TensorRule> rules)
    {
        this.rules = rules.ToDictionary(r => r.Fqn, StringComparer.Ordinal);
        var foreign = new Dictionary<string, IReadOnlyList<long>>(StringComparer.Ordinal);
        foreach (var (name, shape) in this.rules.Values.SelectMany(r => r.Foreign))
        {
            if (!foreign.TryAdd(name, shape) && !foreign[name].SequenceEqual(shape))
                throw new ArgumentException($"foreign tensor '{name}' is [{string.Join(", ", foreign[name])}] by one rule and [{string.Join(", ", shape)}] by another", nameof(rules));
        }

        Foreign = foreign;
    }

    /// <inheritdoc />
    public IReadOnlyDictionary<string, IReadOnlyList<long>> Foreign { get; }

    /// <inheritdoc />
    public IReadOnlyList<TensorPiece> PiecesOf(string fqn, ShardLayout part)
    {
        if (!rules.TryGetValue(fqn, out var rule)) throw new TitanException(ExitCode.Data, $"tensor '{fqn}' has no place in the other layout; it knows {rules.Count} tensors of the model");
        if (!rule.Whole.SequenceEqual(part.GlobalShape))
            throw new TitanException(ExitCode.Data, $"tensor '{fqn}' is [{string.Join(", ", part.GlobalShape)}] in the model; the other layout is for [{string.Join(", ", rule.Whole)}]");
        return part.Shape.Contains(0) ? [] : [.. rule.Pieces(part)];
    }
}
