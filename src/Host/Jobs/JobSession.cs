using Titan.Abstractions;
using Titan.Distributed;
using Titan.Host.Configuration;
using Titan.Host.Plugins;
using Titan.Kernels;
using Titan.Quantization.Matmuls;
using Titan.Training.Data;

namespace Titan.Host.Jobs;

/// <summary>What every command on a job starts with: plugins, then the schema that they extend, then the job.</summary>
public sealed class JobSession
{
    private JobSession(PluginCatalog catalog, ConverterSet converters, ConfigSchema schema, MatmulCounter counter, LoadedJob job) =>
        (Catalog, Converters, Schema, Counter, Job) = (catalog, converters, schema, counter, job);

    /// <summary>The plugins.</summary>
    public PluginCatalog Catalog { get; }

    /// <summary>The converters that they give.</summary>
    public ConverterSet Converters { get; }

    /// <summary>All sections and keys.</summary>
    public ConfigSchema Schema { get; }

    /// <summary>Counts executed float8 matmuls.</summary>
    public MatmulCounter Counter { get; }

    /// <summary>The job.</summary>
    public LoadedJob Job { get; }

    /// <summary>Versions and hashes of the active plugins.</summary>
    public IReadOnlyDictionary<string, string> PluginVersions =>
        Catalog.Records.Where(r => r.Status == PluginStatus.Active).ToDictionary(r => $"plugin {r.Id}", r => $"{r.Version} sha256:{r.Hash}");

    /// <summary>What must be the same on every rank: the job, and the plugins with their hashes.</summary>
    public IReadOnlyDictionary<string, string> Facts =>
        Schema.All.DistinctBy(k => k.FullName).ToDictionary(k => k.FullName, k => KeyType.Show(Job.Values[k.FullName])).Concat(PluginVersions).ToDictionary(StringComparer.Ordinal);

    /// <summary>What a checkpoint says made it, besides the model: the plugins, and the options of the job's converters.</summary>
    public IReadOnlyDictionary<string, string> Origin =>
        Schema.All.Where(k => Job.Config.Model.Converters.Contains(k.Section)).DistinctBy(k => k.FullName).ToDictionary(k => k.FullName, k => KeyType.Show(Job.Values[k.FullName]))
            .Concat(PluginVersions).ToDictionary(StringComparer.Ordinal);

    /// <summary>The converters of the job, in order, with their options.</summary>
    /// <exception cref="TitanException">When <c>model.converters</c> or an option of theirs is wrong.</exception>
    public IReadOnlyList<(string Name, IModelConverter Converter, object Options)> Chosen => field ??= Converters.Choose(Job, Schema);

    /// <summary>Loads plugins and job, for a command that takes options of a job but runs none.</summary>
    /// <param name="args">The dotted flags.</param>
    /// <exception cref="TitanException">All that is wrong with the job, a line each.</exception>
    public static JobSession Open(IReadOnlyList<string> args)
    {
        var problems = new JobProblems();
        var session = Open(args, problems, null, null);
        problems.ThrowIfAny();
        return session;
    }

    /// <summary>Loads plugins and a job that is to be run, planned or checked: the same rules for all three.</summary>
    /// <param name="args">The dotted flags.</param>
    /// <param name="ranks">The number of ranks that it runs on; null where that is not known yet.</param>
    /// <param name="world">These ranks; null for one.</param>
    /// <exception cref="TitanException">All that is wrong with the job, a line each.</exception>
    public static JobSession OpenJob(IReadOnlyList<string> args, int? ranks = null, IProcessGroup? world = null)
    {
        var problems = new JobProblems();
        var session = Open(args, problems, ranks, world);
        if (!problems.Has("model.converters")) problems.Collect(() => _ = session.Chosen);
        problems.ThrowIfAny();
        return session;
    }

    private static JobSession Open(IReadOnlyList<string> args, JobProblems problems, int? ranks, IProcessGroup? world)
    {
        if (LibTorch.Missing is { } missing) throw new TitanException(ExitCode.Hardware, missing);
        var catalog = PluginCatalog.Load(PluginFlags.Read(args));
        var counter = new MatmulCounter();
        var converters = new ConverterSet(catalog, counter, world ?? new SingleRankGroup("world"));
        var schema = new ConfigSchema(converters.Sections);
        var job = new JobConfigReader(schema, Path.GetDirectoryName(SampleAssets.Root)!).Read(args, problems, ranks);
        return new JobSession(catalog, converters, schema, counter, job with { Warnings = [.. job.Warnings, .. MisspeltVariables.Notes()] });
    }
}
