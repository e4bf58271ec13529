using Titan.Kernels;

namespace Titan.Host.Plugins;

/// <summary>Where plugins are looked for: beside the program, in TITAN_PLUGIN_PATH, in plugins.path.</summary>
public static class PluginFolders
{
    /// <summary>All plugin folders, without duplicates. A given path may be a plugin folder or hold several.</summary>
    /// <param name="given">The paths of <c>plugins.path</c>.</param>
    /// <param name="missing">Given paths that do not exist.</param>
    public static IReadOnlyList<string> Find(IReadOnlyList<string> given, out IReadOnlyList<string> missing)
    {
        var environment = (ProgramVariables.PluginPath.Value ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries);
        var asked = environment.Concat(given).ToList();
        missing = [.. asked.Where(p => !Directory.Exists(p))];
        return [.. new[] { BuiltIn() }.Concat(asked).Where(Directory.Exists).SelectMany(Expand).Select(Path.GetFullPath).Distinct()];
    }

    private static string BuiltIn()
    {
        var beside = Path.Combine(AppContext.BaseDirectory, "plugins");
        if (Directory.Exists(beside)) return beside;
        for (var at = new DirectoryInfo(AppContext.BaseDirectory); at is not null; at = at.Parent)
        {
            var staged = Path.Combine(at.FullName, "artifacts", "plugins");
            if (Directory.Exists(staged)) return staged;
        }

        return beside;
    }

    private static IEnumerable<string> Expand(string path) =>
        File.Exists(Path.Combine(path, PluginManifest.FileName)) || Directory.EnumerateFiles(path, "*.dll").Any()
            ? [path]
            : Directory.EnumerateDirectories(path).Order(StringComparer.Ordinal);
}
