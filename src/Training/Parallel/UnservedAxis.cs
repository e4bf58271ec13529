using Titan.Abstractions;

namespace Titan.Training.Parallel;

/// <summary>What a user is told of an axis that a job asks for and no plugin serves.</summary>
public static class UnservedAxis
{
    /// <summary>The message.</summary>
    /// <param name="axis">The axis.</param>
    /// <param name="ranks">Ranks over which its parallelism would work.</param>
    /// <param name="served">Names of the axes that plugins serve.</param>
    public static string Message(MeshAxis axis, int ranks, IEnumerable<string> served) =>
        $"the mesh has {ranks} ranks along {axis.Name()}, and no plugin serves {axis.Name()}; " +
        $"served: {string.Join(", ", served.Order(StringComparer.Ordinal).DefaultIfEmpty("none"))}; " +
        $"set {axis.DegreeKey()} to 1, or install a plugin that exports a parallelism for {axis.Name()}; " +
        "'titan plugin list' shows what is loaded and why others are not";
}
