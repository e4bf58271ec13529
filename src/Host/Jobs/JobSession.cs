using Titan.Abstractions;
using Titan.Distributed;
using Titan.Host.Configuration;
using Titan.Host.Plugins;
using Titan.Kernels;
using Titan.Models;
using Titan.Training.Data;
using Titan.Training.Loop;
using Titan.Training.Models;
using Titan.Training.Parallel;

namespace Titan.Host.Jobs;

/// <summary>
/// What every command on a job starts with: the plugins' manifests, then the schema that they extend, then the job. No code of a plugin runs before somebody asks for what the job names of it.
/// </summary>
public sealed class JobSession
{
    private readonly int world;

    private JobSession(PluginCatalog catalog, ConverterSet converters, ConfigSchema schema, LoadedJob job, int world) =>
        (Catalog, Converters, Schema, Job, this.world) = (catalog, converters, schema, job, world);

    /// <summary>The plugins; loaded are those whose parts were asked for.</summary>
    public PluginCatalog Catalog { get; }

    /// <summary>The converters that they give.</summary>
    public ConverterSet Converters { get; }

    /// <summary>All sections and keys.</summary>
    public ConfigSchema Schema { get; }

    /// <summary>The job.</summary>
    public LoadedJob Job { get; }

    /// <summary>Versions and hashes of the plugins that the run uses.</summary>
    public IReadOnlyDictionary<string, string> PluginVersions =>
        new NamedExports(Catalog.Records, Job).Plugins(world).ToDictionary(r => $"plugin {r.Id}", r => $"{r.Version} sha256:{r.Hash}");

    /// <summary>The parallelisms of the run, one for each axis of the mesh that has work for more than one rank. Loads their plugins.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Plugin"/> when an axis has none, or its plugin fails while it loads.</exception>
    public IReadOnlyList<JobParallelism> Parallelisms() => Parallelisms(TrainingRanks.Resolve(Job.Config, world));

    /// <summary>The same for a mesh that need not be of this run.</summary>
    public IReadOnlyList<JobParallelism> Parallelisms(ParallelDimensions dimensions)
    {
        var named = new NamedExports(Catalog.Records, Job).Parallelisms(dimensions);
        Catalog.Load(named.Select(n => n.Plugin));
        // Again: one whose plugin has just failed is not active any more, and the error says why.
        return [.. new NamedExports(Catalog.Records, Job).Parallelisms(dimensions)
            .Select(n => Catalog.Export<IParallelism, ParallelismMetadata>(n.Plugin, n.Export))
            .Select(p => new JobParallelism(p.Metadata.Axis, p.PluginId, p.Part, Job.OptionsAs(p.Part.OptionsType, ExportKinds.ParallelismSection, p.Metadata.Axis.Name())))];
    }

    /// <summary>What must be the same on every rank: the job, and the plugins with their hashes.</summary>
    public IReadOnlyDictionary<string, string> Facts =>
        PluginVersions.Concat(Schema.All.DistinctBy(k => k.FullName).OrderBy(k => k.FullName, StringComparer.Ordinal).Select(k => KeyValuePair.Create(k.FullName, KeyType.Show(Job.Values[k.FullName]))))
            .ToDictionary(StringComparer.Ordinal);

    /// <summary>What a checkpoint says made it, besides the model: the plugins, and the options of the job's converters.</summary>
    public IReadOnlyDictionary<string, string> Origin =>
        Schema.All.Where(k => Job.Config.Model.Converters.Contains(k.Section)).DistinctBy(k => k.FullName).ToDictionary(k => k.FullName, k => KeyType.Show(Job.Values[k.FullName]))
            .Concat(PluginVersions).ToDictionary(StringComparer.Ordinal);

    /// <summary>The converters of the job, in order, with their options. Loads their plugins.</summary>
    /// <exception cref="TitanException">When <c>model.converters</c> or an option of theirs is wrong.</exception>
    public IReadOnlyList<(string Name, IModelConverter Converter, object Options)> Chosen => field ??= Converters.Choose(Job, Schema);

    /// <summary>The host's model families, and the one of a plugin that the job names. Loads that plugin.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Plugin"/> when it fails while it loads.</exception>
    public ModelRegistry Models => field ??= FamiliesOfJob();

    /// <summary>Finds the plugins and reads the job, for a command that takes options of a job but runs none.</summary>
    /// <param name="args">The dotted flags.</param>
    /// <exception cref="TitanException">All that is wrong with the job, a line each.</exception>
    public static JobSession Open(IReadOnlyList<string> args)
    {
        var problems = new JobProblems();
        var session = Open(args, problems, null, null);
        problems.ThrowIfAny();
        return session;
    }

    /// <summary>Reads a job that is to be run, planned or checked, the same rules for all three, and loads the plugins of its converters.</summary>
    /// <param name="args">The dotted flags.</param>
    /// <param name="ranks">The number of ranks that it runs on; null where that is not known yet.</param>
    /// <param name="world">These ranks; null for one.</param>
    /// <exception cref="TitanException">All that is wrong with the job, a line each.</exception>
    public static JobSession OpenJob(IReadOnlyList<string> args, int? ranks = null, IProcessGroup? world = null)
    {
        var problems = new JobProblems();
        var session = Open(args, problems, ranks, world);
        // Several ranks compare their plugins first: who lacks one says more.
        if (world is null or { Size: 1 }) new NamedExports(session.Catalog.Records, session.Job).CheckAxes(problems);
        if (!problems.Has("model.name")) problems.Collect(() => _ = session.Models);
        if (!problems.Has("model.converters")) problems.Collect(() => _ = session.Chosen);
        problems.ThrowIfAny();
        return session;
    }

    private ModelRegistry FamiliesOfJob()
    {
        var models = ModelRegistry.CreateDefault();
        if (new NamedExports(Catalog.Records, Job).Model is not { } named) return models;
        Catalog.Load([named.Plugin]);
        if (Catalog.Now(named.Plugin) is { Status: not PluginStatus.Active } failed) throw new TitanException(ExitCode.Plugin, $"model.name = '{named.Export.Name}' belongs to {NamedExports.Described(failed)}");
        models.Register(named.Export.Name, Catalog.Export<IModelFamily, ModelMetadata>(named.Plugin, named.Export).Part.Flavors);
        return models;
    }

    private static JobSession Open(IReadOnlyList<string> args, JobProblems problems, int? ranks, IProcessGroup? world)
    {
        if (LibTorch.Missing is { } missing) throw new TitanException(ExitCode.Hardware, missing);
        var catalog = PluginCatalog.Inspect(PluginFlags.Read(args));
        var converters = new ConverterSet(catalog, world ?? new SingleRankGroup("world"));
        var schema = new ConfigSchema(ExportSections.Of(catalog.Records)) { Models = ExportSections.Models(catalog.Records) };
        var job = new JobConfigReader(schema, Path.GetDirectoryName(SampleAssets.Root)!).Read(args, problems, ranks);
        return new JobSession(catalog, converters, schema, job with { Warnings = [.. job.Warnings, .. MisspeltVariables.Notes()] }, world?.Size ?? 1);
    }
}
