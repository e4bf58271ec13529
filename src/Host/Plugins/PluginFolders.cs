using Titan.Abstractions;
using Titan.Kernels;

namespace Titan.Host.Plugins;

/// <summary>Where plugins are looked for: beside the program, in TITAN_PLUGIN_PATH, in plugins.path.</summary>
public static class PluginFolders
{
    private const int MostFolders = 1000;

    /// <summary>All plugin folders, without duplicates. A given path may be a plugin folder or hold several.</summary>
    /// <param name="given">The paths of <c>plugins.path</c>.</param>
    /// <param name="missing">Given paths that do not exist.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Plugin"/> for a path that cannot be read, or holds far more than plugins.</exception>
    public static IReadOnlyList<string> Find(IReadOnlyList<string> given, out IReadOnlyList<string> missing)
    {
        var environment = (ProgramVariables.PluginPath.Value ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries);
        var asked = environment.Concat(given).ToList();
        missing = [.. asked.Where(p => !Directory.Exists(p))];
        return [.. new[] { BuiltIn() }.Concat(asked).Where(Directory.Exists).SelectMany(Expand).Select(Normal).Distinct()];
    }

    /// <summary>Whether a plugin came with the program.</summary>
    public static bool IsBuiltIn(string folder) => Normal(folder).StartsWith(Normal(BuiltIn()) + Path.DirectorySeparatorChar, StringComparison.Ordinal);

    private static string Normal(string path) => Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));

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

    private static IReadOnlyList<string> Expand(string path)
    {
        try
        {
            if (LooksLikeOne(path)) return [path];
            var inside = Directory.EnumerateDirectories(path).Take(MostFolders + 1).Order(StringComparer.Ordinal).ToList();
            if (inside.Count > MostFolders) throw new TitanException(ExitCode.Plugin, $"plugin folder '{path}' holds more than {MostFolders:N0} folders; name one that holds plugins");
            var plugins = inside.Where(LooksLikeOne).ToList();
            // Where there is nothing, that is what its inspection says: once, not for every folder in it.
            return plugins.Count > 0 || path == BuiltIn() ? plugins : [path];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new TitanException(ExitCode.Plugin, $"plugin folder '{path}' cannot be read: {e.Message}; correct plugins.path or {ProgramVariables.PluginPath.Name}, or the folder's permissions", e);
        }
    }

    private static bool LooksLikeOne(string folder)
    {
        try
        {
            // A link too, whatever it leads to: its inspection says what is wrong.
            return new FileInfo(Path.Combine(folder, PluginManifest.FileName)) is { Exists: true } or { LinkTarget: not null } || Directory.EnumerateFiles(folder, "*.dll").Any();
        }
        catch (UnauthorizedAccessException)
        {
            return true;
        }
    }
}
