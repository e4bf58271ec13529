using Titan.Host.Configuration;
using Titan.Host.Plugins;
using Titan.Quantization.Conversion;

namespace Titan.Host.Jobs;

/// <summary>The config sections that exist because of plugins: one for each recipe family, one for each converter; and the keys of parallelisms in a section of the host's. Made from manifests alone.</summary>
public static class ConverterSections
{
    private static readonly IReadOnlyList<PluginOption> OfFamily = OptionsRecord.Describe(typeof(QuantizeLinearOptions));

    /// <summary>The sections of the active plugins.</summary>
    public static IReadOnlyList<PluginSection> Of(IReadOnlyList<PluginRecord> plugins)
    {
        var exports = plugins.Where(p => p.Status == PluginStatus.Active).SelectMany(p => p.Exports).ToList();
        var families = exports.Where(e => e.Kind == "recipe").GroupBy(e => e.Converter!).Select(family => new PluginSection(
            family.Key, [new PluginSectionPart(null, OfFamily), .. family.Select(r => new PluginSectionPart(r.RecipeName, r.Options))])
        {
            DefaultOwner = family.FirstOrDefault(r => r.IsDefault)?.RecipeName,
        });
        var parallelisms = exports.Where(e => e.Kind == "parallelism" && e.Options.Count > 0).Select(p => new PluginSectionPart(p.Name, p.Options)).ToList();
        return
        [
            .. families, .. exports.Where(e => e.Kind == "converter").Select(c => new PluginSection(c.Name, [new PluginSectionPart(null, c.Options)])),
            .. parallelisms.Count > 0 ? [new PluginSection(PluginExport.ParallelismSection, parallelisms) { OwnerKind = null }] : Array.Empty<PluginSection>(),
        ];
    }
}
