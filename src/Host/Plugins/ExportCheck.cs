using Titan.Host.Configuration;

namespace Titan.Host.Plugins;

/// <summary>Whether exports can be used beside what the host has: names, config sections, options. The rules are those of their kinds.</summary>
internal static class ExportCheck
{
    private static readonly ConfigSchema Host = new([]);

    /// <summary>What is wrong with the first bad export, and the next step; null for none.</summary>
    public static (string Reason, string NextStep)? Fault(IReadOnlyList<PluginExport> exports)
    {
        foreach (var export in exports)
            if (FaultOf(export) is { } fault) return fault;
        return exports.GroupBy(e => e.Title).FirstOrDefault(g => g.Count() > 1) is { } twice ? ($"exports {twice.Key} twice", "report it to its author") : null;
    }

    private static (string Reason, string NextStep)? FaultOf(PluginExport export)
    {
        if (export.KindOrNull is not { } kind) return ($"exports {export.Title}, a kind that this host does not know; known: {string.Join(", ", ExportKinds.All.Select(k => k.Name))}", "upgrade Titan");
        return NameFault(export, kind) ?? OptionFault(export, kind);
    }

    private static (string Reason, string NextStep)? NameFault(PluginExport export, ExportKind kind)
    {
        if (kind.Reserved is var (prefix, owner) && export.Name.StartsWith(prefix, StringComparison.Ordinal))
            return ($"exports {export.Title}, but names that start with '{prefix}' belong to {owner}", $"give the {kind.Name} another name");
        if (!kind.IsSectionOfHost && export.Section is { } section && Host.Sections.Contains(section))
            return ($"exports {export.Title}, but [{section}] is a config section of the host", $"give the {kind.Name} another name");
        return kind.IsName(export.Name) ? null : ($"exports {kind.Name} '{export.Name}', which {kind.NameFault}", "give the export another name");
    }

    private static (string Reason, string NextStep)? OptionFault(PluginExport export, ExportKind kind)
    {
        HashSet<string> taken = [.. kind.Common.Select(o => o.Key), .. Host.All.Where(k => k.Section == export.Section).Select(k => k.Name)];
        foreach (var option in export.Options)
        {
            if (option.Fault() is { } fault) return ($"option '{option.Key}' of {export.Title} cannot be used: {fault}", "build the plugin again; the build makes the manifest");
            if (taken.Contains(option.Key)) return ($"option '{option.Key}' of {export.Title} is a key that [{export.Section}] has without it", "give the option another name");
        }

        return export.Options.GroupBy(o => o.Key).FirstOrDefault(g => g.Count() > 1) is { } twice ? ($"{export.Title} has option '{twice.Key}' twice", "give one of them another name") : null;
    }
}
