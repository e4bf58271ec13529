using Titan.Abstractions;
using Titan.Training.Configuration;

namespace Titan.Host.Configuration;

/// <summary>Merges defaults, job file and command line, in this order of precedence from low to high, and checks every key and value.</summary>
/// <param name="schema">What a job may have.</param>
/// <param name="configRoot">The folder that holds <c>configs</c>.</param>
public sealed class JobConfigReader(ConfigSchema schema, string configRoot)
{
    /// <summary>Reads a job.</summary>
    /// <param name="args">The dotted flags.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/>: all problems, one a line.</exception>
    public LoadedJob Read(IReadOnlyList<string> args)
    {
        var problems = new JobProblems();
        var job = Read(args, problems);
        problems.ThrowIfAny();
        return job;
    }

    /// <summary>Reads a job as far as it can be read: a key with a problem has its default.</summary>
    /// <param name="args">The dotted flags.</param>
    /// <param name="problems">Gets all problems.</param>
    /// <param name="ranks">The number of ranks that the job runs on; null where that is not known yet.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/> when the job file is no TOML or cannot be read.</exception>
    public LoadedJob Read(IReadOnlyList<string> args, JobProblems problems, int? ranks = null)
    {
        var warnings = new List<string>();
        var entries = new Dictionary<string, ConfigEntry>(StringComparer.Ordinal);
        if (CommandLineSource.ConfigFile(args) is { } file)
        {
            foreach (var entry in TomlSource.Read(Resolve(file, warnings)))
            {
                if (schema.Find(entry.FullName).Count == 0) problems.Add(UnknownKey.Message(entry.FullName, entry.FullName, schema, entry.Origin));
                else if (entry.FullName == "job.config_file") problems.Add(entry.FullName, entry.Origin, KeyType.ShowShort(entry.Value), "a job file cannot name another; remove it");
                else entries[entry.FullName] = entry;
            }
        }

        foreach (var entry in CommandLineSource.Read(args, schema, problems)) entries[entry.FullName] = entry;

        var values = new Dictionary<string, object?>(StringComparer.Ordinal);
        var origins = new Dictionary<string, string>(StringComparer.Ordinal);
        // Of several recipes that have a key, the one that the job uses says what its values are.
        foreach (var key in schema.All.GroupBy(k => k.FullName).Select(same => same.FirstOrDefault(k => k.Owner is null || k.Owner == ChosenRecipe(k.Section, values)) ?? same.First()))
        {
            values[key.FullName] = key.Default;
            if (!entries.TryGetValue(key.FullName, out var entry)) continue;
            origins[key.FullName] = entry.Origin;
            if (!entry.TryRead(key.Type, out var value))
                problems.Add(key.FullName, entry.Origin, KeyType.ShowShort(entry.Value), $"expected {key.Type.Name}{key.Type.HintFor(entry.Value)}");
            else if (ValueRules.Broken(key, value) is { } rule) problems.Add(key.FullName, entry.Origin, KeyType.ShowShort(value), rule);
            else values[key.FullName] = value;
            if (!problems.Has(key.FullName) && key.Rule<NoEffectAttribute>() is { } same && !KeyType.Same(value, key.Default))
                warnings.Add($"{key.FullName} has no effect: {same.Why}");
        }

        LegacyNames.Apply(values, origins, warnings);
        var job = new LoadedJob(Bind(values), origins, values, warnings) { Options = OptionsOf(entries) };
        new JobRules(schema, job, problems, warnings, ranks).Check();
        return job;
    }

    private string? ChosenRecipe(string section, Dictionary<string, object?> values) =>
        values.GetValueOrDefault($"{section}.{PluginSection.RecipeKey}") as string ?? schema.PluginSections.FirstOrDefault(s => s.Name == section)?.DefaultOwner;

    /// <summary>What each part of a plugin's section is given. A value that does not fit a recipe which the job does not use leaves that recipe its default.</summary>
    private Dictionary<(string Section, string? Owner), IReadOnlyDictionary<string, object?>> OptionsOf(Dictionary<string, ConfigEntry> entries) =>
        schema.PluginSections.SelectMany(s => s.Parts.Select(p => (Section: s.Name, Part: p))).ToDictionary(
            s => (s.Section, s.Part.Owner),
            s => (IReadOnlyDictionary<string, object?>)s.Part.Options.Select(o => ConfigKey.Of(s.Section, o, s.Part.Owner)).ToDictionary(
                key => key.Name, key => entries.TryGetValue(key.FullName, out var entry) && entry.TryRead(key.Type, out var value) && ValueRules.Broken(key, value) is null ? value : key.Default));

    /// <summary>Upstream's paths (<c>./torchtitan/models/llama3/train_configs/x.toml</c>) find our file of the same name.</summary>
    private string Resolve(string file, List<string> notes)
    {
        if (File.Exists(file) || !file.Contains("/train_configs/", StringComparison.Ordinal)) return file;
        var family = Path.GetFileName(Path.GetDirectoryName(Path.GetDirectoryName(file)))!;
        var ours = Path.Combine(configRoot, "configs", family, Path.GetFileName(file));
        if (!File.Exists(ours)) return file;
        notes.Add($"job.config_file: '{file}' is upstream's path; using {Path.GetRelativePath(Environment.CurrentDirectory, ours)}");
        return ours;
    }

    private static JobConfig Bind(Dictionary<string, object?> values)
    {
        var config = new JobConfig();
        foreach (var property in typeof(JobConfig).GetProperties().Where(ConfigSchema.IsSection))
            Fill(property.GetValue(config)!, KeyNames.ToSnakeCase(property.Name), values);
        return config;
    }

    private static void Fill(object record, string section, Dictionary<string, object?> values)
    {
        foreach (var property in record.GetType().GetProperties().Where(p => p.CanWrite))
        {
            var name = $"{section}.{KeyNames.ToSnakeCase(property.Name)}";
            if (ConfigSchema.IsSection(property)) Fill(property.GetValue(record)!, name, values);
            else property.SetValue(record, values[name]);
        }
    }
}
