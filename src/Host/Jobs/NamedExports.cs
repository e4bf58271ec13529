using Titan.Abstractions;
using Titan.Host.Configuration;
using Titan.Host.Plugins;
using Titan.Quantization.Conversion;
using Titan.Training.Loop;
using Titan.Training.Models;
using Titan.Training.Parallel;

namespace Titan.Host.Jobs;

/// <summary>An export that a job names.</summary>
/// <param name="Plugin">Whose it is.</param>
/// <param name="Export">The export.</param>
public sealed record NamedExport(PluginRecord Plugin, PluginExport Export);

/// <summary>Which exports of the plugins a job names, by their manifests. Only the plugins of these are loaded: no other can end, hold up or slow the job.</summary>
/// <param name="plugins">All plugins that were found.</param>
/// <param name="job">The job.</param>
public sealed class NamedExports(IReadOnlyList<PluginRecord> plugins, LoadedJob job)
{
    /// <summary>The converters that <c>model.converters</c> can name.</summary>
    public IEnumerable<string> Known => Active.Select(e => e.Export.Converter).OfType<string>().Distinct();

    /// <summary>The export of each entry of <c>model.converters</c>, in its order: the converter, or the recipe that the family's converter is to use.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/> or <see cref="ExitCode.Plugin"/> when there is none, saying why.</exception>
    public IReadOnlyList<NamedExport> Converters => [.. job.Config.Model.Converters.Select(Converter)];

    /// <summary>The family that <c>model.name</c> names; null for one of the host's, or for none.</summary>
    public NamedExport? Model => Active.FirstOrDefault(e => e.Export.Is(ExportKinds.Model) && e.Export.Name == job.Config.Model.Name);

    private IEnumerable<NamedExport> Active => All(isActive: true);

    /// <summary>The parallelism of each axis of the mesh that has work for more than one rank.</summary>
    /// <param name="world">The number of ranks.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/> when the degrees do not fit it; with <see cref="ExitCode.Plugin"/> when no plugin serves an axis.</exception>
    public IReadOnlyList<NamedExport> Parallelisms(int world) => Parallelisms(TrainingRanks.Resolve(job.Config, world));

    /// <summary>The same for a mesh.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Plugin"/> when no plugin serves an axis.</exception>
    public IReadOnlyList<NamedExport> Parallelisms(ParallelDimensions dimensions) =>
        [.. MeshAxes.Served.Where(a => dimensions.Over(a) > 1).Select(a => Serving(a) ?? throw Unserved(a, dimensions.Over(a)))];

    /// <summary>
    /// The plugins of a run: those of its model, its converters and its parallelisms. One that is not here is left out, so that a comparison of ranks can say who lacks it; to ask for it
    /// by <see cref="Parallelisms(int)"/> is an error.
    /// </summary>
    /// <param name="world">The number of ranks.</param>
    public IReadOnlyList<PluginRecord> Plugins(int world)
    {
        var dimensions = TrainingRanks.Resolve(job.Config, world);
        var parallelisms = MeshAxes.Served.Where(a => dimensions.Over(a) > 1).Select(Serving).OfType<NamedExport>();
        return [.. Converters.Concat(parallelisms).Concat(Model is { } model ? [model] : []).Select(e => e.Plugin).Distinct()];
    }

    /// <summary>Adds every axis whose degree in the job is more than one and that no active plugin serves.</summary>
    /// <param name="problems">Gets them. A degree that is wrong already is not judged.</param>
    public void CheckAxes(JobProblems problems)
    {
        var asked = TrainingRanks.Asked(job.Config);
        foreach (var axis in MeshAxes.Served.Where(a => asked[a] > 1 && !problems.Has(a.DegreeKey()) && Serving(a) is null))
            problems.Collect(() => throw Unserved(axis, asked[axis]));
    }

    private NamedExport Converter(string name)
    {
        var found = Active.Where(e => e.Export.Converter == name).ToList();
        if (found.Count == 0) throw Unknown(name);
        if (found[0].Export.Owner is null) return found[0];
        var wanted = job.Values.GetValueOrDefault($"{name}.{PluginSection.RecipeKey}") as string;
        // A linear recipe serves the family's experts too, if its casts allow it.
        if (wanted is not null && found.All(e => e.Export.Owner != wanted) && found[0].Export.Is(ExportKinds.GroupedRecipe)
            && Active.FirstOrDefault(e => e.Export.Is(ExportKinds.Recipe) && e.Export.Name == $"{found[0].Export.Name.Split('/')[0]}/{wanted}") is { } linear) return linear;
        if (wanted is not null && found.All(e => e.Export.Owner != wanted) && Inactive(e => e.Converter == name && e.Owner == wanted) is { } owner)
            throw new TitanException(ExitCode.Plugin, $"{name}.{PluginSection.RecipeKey} = '{wanted}' belongs to {Described(owner)}");
        return found[RecipeChoice.Of(name, [.. found.Select(e => (e.Export.Owner!, e.Export.IsDefault))], wanted)];
    }

    private TitanException Unknown(string name)
    {
        // Its owner may be here and broken: then that is what to say.
        if (Inactive(e => e.Converter == name) is { } owner) return NotActive(name, owner);
        var broken = plugins.Where(r => r.Status != PluginStatus.Active).Select(r => r.Id).ToList();
        return new TitanException(ExitCode.Usage,
            $"model.converters: '{name}': no loaded plugin has this converter; known: {string.Join(", ", Known)}{Nearest.Hint(name, Known)}" +
            (broken.Count > 0 ? $"; not active: {string.Join(", ", broken)} ('titan plugin list' says why)" : ""));
    }

    /// <summary>The error for a converter whose plugin is there and not active.</summary>
    internal static TitanException NotActive(string converter, PluginRecord owner) => new(ExitCode.Plugin, $"model.converters: '{converter}' belongs to {Described(owner)}");

    private TitanException Unserved(MeshAxis axis, int ranks) => new(ExitCode.Plugin, Inactive(e => e.Is(ExportKinds.Parallelism) && e.Name == axis.Name()) is { } owner
        ? $"the mesh has {ranks} ranks along {axis.Name()}, and {axis.Name()} belongs to {Described(owner)}"
        : UnservedAxis.Message(axis, ranks, Active.Where(e => e.Export.Is(ExportKinds.Parallelism)).Select(e => e.Export.Name).Distinct()));

    private NamedExport? Serving(MeshAxis axis) => Active.FirstOrDefault(e => e.Export.Is(ExportKinds.Parallelism) && e.Export.Name == axis.Name());

    internal static string Described(PluginRecord owner) => $"plugin '{owner.Id}', which is {owner.Status}: {owner.Reason}; {owner.NextStep}";

    private PluginRecord? Inactive(Func<PluginExport, bool> isIt) => All(isActive: false).FirstOrDefault(e => isIt(e.Export))?.Plugin;

    private IEnumerable<NamedExport> All(bool isActive) => plugins.Where(p => p.Status == PluginStatus.Active == isActive).SelectMany(p => p.Exports.Select(e => new NamedExport(p, e)));
}
