using Titan.Abstractions;

namespace Titan.Quantization.Conversion;

/// <summary>Decides which layers a recipe converts, and by which rule it skips the others (upstream's semantics: an entry is a part of the FQN).</summary>
public sealed class LayerFilter
{
    /// <summary>The entry that asks for the recipe's own size rule.</summary>
    public const string AutoFilter = "auto_filter_small_kn";

    /// <summary>The entry that asks for a measurement of each shape on this device; see <see cref="Measurement.MeasuredFilter"/>.</summary>
    public const string MeasuredFilter = "auto_filter_measured";

    private readonly IReadOnlyList<string> parts;
    private readonly Dictionary<string, int> hits;
    private readonly IQuantizationRecipe recipe;
    private readonly int multiple;
    private readonly bool auto;

    /// <summary>Creates the filter.</summary>
    /// <param name="entries">The entries of <c>filter_fqns</c>.</param>
    /// <param name="recipe">Whose size rule applies.</param>
    /// <param name="multiple">K and N must be multiples of this.</param>
    public LayerFilter(IReadOnlyList<string> entries, IQuantizationRecipe recipe, int multiple)
    {
        if (entries.Any(string.IsNullOrWhiteSpace))
            throw new TitanException(ExitCode.Usage, "filter_fqns holds an empty entry, which would match every layer; for no filter use an empty list");
        (this.recipe, this.multiple) = (recipe, multiple);
        auto = entries.Contains(AutoFilter);
        if (auto && recipe.AutoSkip(new LinearShape(16, 16)) is null)
            throw new TitanException(ExitCode.Usage, $"filter_fqns entry '{AutoFilter}': the recipe has no size rule; name the layers to skip, or drop the entry");
        Measures = entries.Contains(MeasuredFilter);
        parts = [.. entries.Where(e => e is not (AutoFilter or MeasuredFilter))];
        hits = parts.Distinct().ToDictionary(p => p, _ => 0);
    }

    /// <summary>Whether layers that no rule here skips are to be measured.</summary>
    public bool Measures { get; }

    /// <summary>The rule that skips the layer, or null when it is converted.</summary>
    public string? SkippedBy(string fqn, LinearShape shape)
    {
        string? rule = null;
        foreach (var part in parts)
        {
            if (!fqn.Contains(part, StringComparison.Ordinal)) continue;
            hits[part]++;
            rule ??= $"filter_fqns \"{part}\"";
        }

        if (rule is not null) return rule;
        if (shape.K % multiple != 0 || shape.N % multiple != 0) return $"K and N must be multiples of {multiple}";
        return auto && recipe.AutoSkip(shape) is { } small ? $"{AutoFilter}: {small}" : null;
    }

    /// <summary>Throws when an entry matched no layer: a misspelt filter would convert what it was meant to spare.</summary>
    public void ThrowIfUnused(IReadOnlyList<string> fqns)
    {
        foreach (var (part, count) in hits)
        {
            if (count > 0) continue;
            var names = fqns.SelectMany(f => f.Split('.')).Where(n => !int.TryParse(n, out _)).Distinct().ToList();
            throw new TitanException(ExitCode.Usage, $"filter_fqns entry '{part}' matches no layer; names in this model: {string.Join(", ", names)}");
        }
    }
}
