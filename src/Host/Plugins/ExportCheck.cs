using Titan.Host.Configuration;
using Titan.Quantization.Conversion;

namespace Titan.Host.Plugins;

/// <summary>Whether exports can be used beside what the host has: names, config sections, options.</summary>
internal static class ExportCheck
{
    private static readonly HashSet<string> HostSections = [.. new ConfigSchema([]).Sections];

    private static readonly HashSet<string> OfMesh = [.. new ConfigSchema([]).All.Where(k => k.Section == PluginExport.ParallelismSection).Select(k => k.Name)];

    // What the converter of every family has.
    private static readonly HashSet<string> OfFamily = [.. OptionsRecord.Describe(typeof(QuantizeLinearOptions)).Select(o => o.Key)];

    /// <summary>What is wrong with the first bad export, and the next step; null for none.</summary>
    public static (string Reason, string NextStep)? Fault(IReadOnlyList<PluginExport> exports)
    {
        foreach (var export in exports)
            if (FaultOf(export) is { } fault) return fault;
        return exports.GroupBy(e => e.Title).FirstOrDefault(g => g.Count() > 1) is { } twice ? ($"exports {twice.Key} twice", "report it to its author") : null;
    }

    private static (string Reason, string NextStep)? FaultOf(PluginExport export)
    {
        const string rename = "export a recipe, or give the converter another name";
        if (export.Kind == "converter" && export.Name.StartsWith("quantize.", StringComparison.Ordinal))
            return ($"exports converter {export.Name}, but names that start with 'quantize.' belong to recipe families", rename);
        if (export.Kind == "converter" && HostSections.Contains(export.Name)) return ($"exports converter {export.Name}, but [{export.Name}] is a config section of the host", rename);
        if (export.Kind == "converter" && !PluginNames.IsConverter(export.Name) || export.Kind == "recipe" && !PluginNames.IsRecipe(export.Name))
            return ($"exports {export.Kind} '{export.Name}', which is not made of lower-case letters, digits and underscores, {(export.Kind == "recipe" ? "with one '/' between family and name" : "with dots between its parts")}", "give the export another name");
        foreach (var option in export.Options)
        {
            if (option.Fault() is { } fault) return ($"option '{option.Key}' of {export.Title} cannot be used: {fault}", "build the plugin again; the build makes the manifest");
            if (export.Kind == "recipe" && OfFamily.Contains(option.Key)) return ($"option '{option.Key}' of {export.Title} is a key that every family's section has", "give the option another name");
            if (export.Kind == "parallelism" && OfMesh.Contains(option.Key)) return ($"option '{option.Key}' of {export.Title} is a key of the host's in [{PluginExport.ParallelismSection}]", "give the option another name");
        }

        return export.Options.GroupBy(o => o.Key).FirstOrDefault(g => g.Count() > 1) is { } twice ? ($"{export.Title} has option '{twice.Key}' twice", "give one of them another name") : null;
    }
}
