using Titan.Host.Configuration;
using Titan.Host.Plugins;

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

    /// <summary>What the section has anyway and what belongs to each owner; options without an owner belong to the section.</summary>
    private static IReadOnlyList<PluginSectionPart> Parts(ExportKind kind, IReadOnlyList<PluginExport> exports) =>
    [
        new(null, [.. kind.Common.Concat(exports.Where(e => e.Owner is null).SelectMany(e => e.Options)).DistinctBy(o => o.Key)]),
        .. exports.Where(e => e.Owner is not null).Select(e => new PluginSectionPart(e.Owner, e.Options)),
    ];
}
