using Titan.Abstractions;
using Titan.Benchmarks;
using Titan.Host.Jobs;
using Titan.Host.Planning;
using Titan.Host.Plugins;
using Titan.Quantization.Conversion;

namespace Titan.Host.Commands;

/// <summary>What a benchmark takes from plugins: their recipes, and the jobs that use them.</summary>
internal static class MeasuredPlugins
{
    /// <summary>The active plugins with their versions.</summary>
    public static IReadOnlyList<string> Versions(IEnumerable<PluginRecord> plugins) => [.. plugins.Where(p => p.Status == PluginStatus.Active).Select(p => $"{p.Id} {p.Version}")];

    /// <summary>A job with its converters; loads their plugins.</summary>
    public static MeasuredJob Job(JobSession session) =>
        new(session.Job.Config, session.Chosen, Versions(session.Catalog.Records)) { WithFloat8Gathers = Plan.WithFloat8Gathers(session.Chosen) };

    /// <summary>The same with what serves the mesh of this run.</summary>
    public static MeasuredJob JobOfRanks(JobSession session) => Job(session) with { Models = session.Models, Parallelisms = session.Parallelisms() };

    /// <summary>The recipes for experts of all active plugins that a device serves; loads them.</summary>
    public static IReadOnlyList<BenchRecipe> GroupedRecipes(JobSession session, DeviceCapability device)
    {
        session.Catalog.Load(session.Catalog.Records.Where(r => r.Status == PluginStatus.Active && r.Exports.Any(e => e.Is(ExportKinds.GroupedRecipe))));
        return
        [
            .. from exported in session.Catalog.Exports<IGroupedRecipe, RecipeMetadata>()
               where exported.Part.Requires.Refusal(device, exported.Part.Emulated) is null
               let options = session.Job.OptionsAs(exported.Part.OptionsType, $"{QuantizeGroupedConverter.Prefix}{exported.Metadata.Family}", exported.Metadata.Name)
               select new BenchRecipe($"{exported.Metadata.Family}/{exported.Metadata.Name}", exported.Part.Describe(options), exported.Part.Emulated, exported.Metadata.IsDefault),
        ];
    }

    /// <summary>The recipes of all active plugins; loads them.</summary>
    public static IReadOnlyList<BenchRecipe> Recipes(JobSession session) =>
    [
        .. NamedRecipe.All(session, text => Console.Error.WriteLine($"titan: note: {text}")).Select(named =>
        {
            var found = session.Catalog.Exports<IQuantizationRecipe, RecipeMetadata>().First(r => $"{r.Metadata.Family}/{r.Metadata.Name}" == named.Name);
            return new BenchRecipe(named.Name, named.Recipe, found.Part.Emulated, found.Metadata.IsDefault && found.Metadata.Status == ExportStatus.Stable);
        }),
    ];
}
