using Titan.Abstractions;

namespace Titan.Benchmarks;

/// <summary>The flags of a job that an arm of <c>titan bench step</c> takes: a converter's own go to the arms of its family, since a job that does not use the converter refuses them.</summary>
internal static class ArmFlags
{
    private const string Converters = "--quantize.";

    /// <summary>The flags for an arm of a family; null for one without a converter.</summary>
    public static IReadOnlyList<string> For(IReadOnlyList<string> job, string? family)
    {
        var taken = new List<string>();
        var taking = true;
        foreach (var token in job)
        {
            // A value belongs to the flag before it.
            if (token.StartsWith("--", StringComparison.Ordinal)) taking = FamilyOf(token) is not { } of || of == family;
            if (taking) taken.Add(token);
        }

        return taken;
    }

    /// <summary>Throws for a converter's flag that no arm takes.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/>.</exception>
    public static void ThrowIfUnused(IReadOnlyList<string> job, IReadOnlyCollection<string> families)
    {
        if (job.FirstOrDefault(t => FamilyOf(t) is { } of && !families.Contains(of)) is { } unused)
            throw new TitanException(ExitCode.Usage, $"'{unused}' has no effect: no arm is of the family '{FamilyOf(unused)}'; choose recipes of it with --recipe, or drop the flag");
    }

    /// <summary>Of <c>--quantize.linear.float8.filter_fqns</c>: float8. Dashes and underscores are alike.</summary>
    private static string? FamilyOf(string token) =>
        token.StartsWith(Converters, StringComparison.Ordinal) && token.Split('.') is [_, _, var family, ..] ? family.Split('=')[0].Replace('-', '_') : null;
}
