namespace Titan.Host.Plugins;

/// <summary>The files of a plugin's folder. Links are not followed and the walk ends at a bound: a folder may be a link to the root of the disk, or have been dropped into by mistake.</summary>
internal static class PluginTree
{
    /// <summary>Files and folders that a plugin may have.</summary>
    public const int MostEntries = 10_000;

    /// <summary>Folders that may lie in each other.</summary>
    public const int Deepest = 16;

    /// <summary>Every file, relative to the folder and with forward slashes; or what is wrong with the folder.</summary>
    public static (IReadOnlyList<string> Files, string? Fault) Of(string folder)
    {
        var files = new List<string>();
        var left = new Stack<(DirectoryInfo Folder, int Depth)>([(new DirectoryInfo(folder), 0)]);
        var entries = 0;
        while (left.TryPop(out var at))
        {
            foreach (var entry in at.Folder.EnumerateFileSystemInfos())
            {
                var name = Path.GetRelativePath(folder, entry.FullName).Replace('\\', '/');
                if (++entries > MostEntries) return (files, $"its folder holds more than {MostEntries:N0} files and folders");
                if (entry.LinkTarget is { } target) return (files, $"its {(entry is DirectoryInfo ? "folder" : "file")} '{name}': it is a link (to '{target}')");
                if (entry is not DirectoryInfo inner) files.Add(name);
                else if (at.Depth == Deepest) return (files, $"its folder holds folders more than {Deepest} deep: '{name}'");
                else left.Push((inner, at.Depth + 1));
            }
        }

        return (files, null);
    }
}
