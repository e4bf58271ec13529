using System.Reflection;

namespace Titan.Kernels.Cuda;

/// <summary>The CUDA sources of <c>native/</c>, which travel inside this assembly.</summary>
public static class CudaSources
{
    private const string Prefix = "native/";

    /// <summary>Names of the sources that hold kernels, without <c>.cu</c>.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. Resources(".cu").Select(n => n[..^3])];

    /// <summary>The headers that a source may include: name and text.</summary>
    public static IReadOnlyList<(string Name, string Text)> Headers { get; } = [.. Resources(".cuh").Select(n => (n, Read(n)))];

    /// <summary>The text of a source.</summary>
    /// <param name="name">One of <see cref="Names"/>.</param>
    public static string Text(string name) => Read(name + ".cu");

    private static IEnumerable<string> Resources(string extension) => typeof(CudaSources).Assembly.GetManifestResourceNames()
        .Where(n => n.StartsWith(Prefix, StringComparison.Ordinal) && n.EndsWith(extension, StringComparison.Ordinal))
        .Select(n => n[Prefix.Length..]).Order(StringComparer.Ordinal);

    private static string Read(string name)
    {
        using var stream = Assembly.GetExecutingAssembly().GetManifestResourceStream(Prefix + name)
            ?? throw new ArgumentException($"no CUDA source {name}; there are {string.Join(", ", Names)}");
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }
}
