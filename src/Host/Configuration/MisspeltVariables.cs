using Titan.Kernels;
using Titan.Training.Models;

namespace Titan.Host.Configuration;

/// <summary>Environment variables that look like one of this project's and are none.</summary>
internal static class MisspeltVariables
{
    private const string Prefix = "TITAN_";

    /// <summary>A note for each; others may own names with this prefix, so that it is no error.</summary>
    public static IEnumerable<string> Notes() => Notes(Environment.GetEnvironmentVariables().Keys.Cast<string>());

    internal static IEnumerable<string> Notes(IEnumerable<string> names)
    {
        var known = ProgramVariables.All.Select(v => v.Name).Where(n => n.StartsWith(Prefix, StringComparison.Ordinal)).ToList();
        return names.Where(n => n.StartsWith(Prefix, StringComparison.Ordinal) && !known.Contains(n)).Order(StringComparer.Ordinal)
            .Select(n => (Name: n, Meant: known.FirstOrDefault(k => Nearest.Distance(n, k) <= 2))).Where(n => n.Meant is not null)
            .Select(n => $"environment variable {n.Name} is not read; did you mean {n.Meant}?");
    }
}
