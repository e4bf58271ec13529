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
        Schema.All.DistinctBy(k => k.FullName).ToDictionary(k => k.FullName, k => ValueConversion.Show(Job.Values[k.FullName])).Concat(PluginVersions).ToDictionary(StringComparer.Ordinal);

    /// <summary>What a checkpoint says made it, besides the model: the plugins, and the options of the job's converters.</summary>
    public IReadOnlyDictionary<string, string> Origin =>
        Schema.All.Where(k => Job.Config.Model.Converters.Contains(k.Section)).DistinctBy(k => k.FullName).ToDictionary(k => k.FullName, k => ValueConversion.Show(Job.Values[k.FullName]))
            .Concat(PluginVersions).ToDictionary(StringComparer.Ordinal);

    /// <summary>Loads plugins and job.</summary>
    /// <param name="args">The dotted flags.</param>
    /// <param name="world">The ranks of the job; null for one.</param>
    public static JobSession Open(IReadOnlyList<string> args, IProcessGroup? world = null)
    {
        if (LibTorch.Missing is { } missing) throw new TitanException(ExitCode.Hardware, missing);
        var catalog = PluginCatalog.Load(PluginFlags.Read(args));
        var counter = new MatmulCounter();
        var converters = new ConverterSet(catalog, counter, world ?? new SingleRankGroup("world"));
        var schema = new ConfigSchema(converters.Sections);
        var job = new JobConfigReader(schema, Path.GetDirectoryName(SampleAssets.Root)!).Read(args);
        return new JobSession(catalog, converters, schema, counter, job);
    }
}
