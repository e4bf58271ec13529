using Titan.Host.Configuration;
using Titan.Host.Plugins;
using Titan.Training.Models;

namespace Titan.Host.Jobs;

/// <summary>The options that a job has because of what plugins export, by config section. Made from manifests and the rules of <see cref="ExportKinds"/> alone.</summary>
public static class ExportSections
{
    /// <summary>The sections of the active plugins, in the order of the kinds.</summary>
    public static IReadOnlyList<PluginSection> Of(IReadOnlyList<PluginRecord> plugins)
    {
        var exports = plugins.Where(p => p.Status == PluginStatus.Active).SelectMany(p => p.Exports).ToList();
        return
        [
            .. from kind in ExportKinds.All
               from section in exports.Where(e => e.Is(kind) && e.Section is not null).GroupBy(e => e.Section!)
               select new PluginSection(section.Key, Parts(kind, [.. section])) { OwnerKind = kind.OwnerKind, DefaultOwner = section.FirstOrDefault(e => e.IsDefault)?.Owner },
        ];
    }

    /// <summary>The models that a job may name: the host's, and those of the plugins.</summary>
    public static ModelNames Models(IReadOnlyList<PluginRecord> plugins)
    {
        var flavors = new Dictionary<string, IReadOnlyList<string>>(ModelRegistry.CreateDefault().Names.Flavors);
        var unusable = new Dictionary<string, string>();
        foreach (var plugin in plugins)
            foreach (var export in plugin.Exports.Where(e => e.Is(ExportKinds.Model) && ExportKinds.Model.IsName(e.Name)))
            {
                if (plugin.Status == PluginStatus.Active) flavors[export.Name] = export.Flavors;
                else unusable.TryAdd(export.Name, NamedExports.Described(plugin));
            }

        return new ModelNames(flavors) { Unusable = unusable };
    }

    /// <summary>What the section has anyway and what belongs to each owner; options without an owner belong to the section.</summary>
    private static IReadOnlyList<PluginSectionPart> Parts(ExportKind kind, IReadOnlyList<PluginExport> exports) =>
    [
        new(null, [.. kind.Common.Concat(exports.Where(e => e.Owner is null).SelectMany(e => e.Options)).DistinctBy(o => o.Key)]),
        .. exports.Where(e => e.Owner is not null).Select(e => new PluginSectionPart(e.Owner, e.Options)),
    ];
}
