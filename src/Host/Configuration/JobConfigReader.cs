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
        var errors = new List<string>();
        var warnings = new List<string>();
        var entries = new Dictionary<string, ConfigEntry>(StringComparer.Ordinal);
        if (CommandLineSource.ConfigFile(args) is { } file)
        {
            var resolved = Resolve(file, warnings);
            foreach (var entry in TomlSource.Read(resolved)) entries[entry.FullName] = entry;
            foreach (var entry in entries.Values.Where(e => schema.Find(e.FullName).Count == 0).ToList())
            {
                errors.Add(UnknownKey.Message(entry.FullName, entry.FullName, schema, entry.Origin));
                entries.Remove(entry.FullName);
            }
        }

        foreach (var entry in CommandLineSource.Read(args, schema, errors)) entries[entry.FullName] = entry;

        var values = new Dictionary<string, object?>(StringComparer.Ordinal);
        var origins = new Dictionary<string, string>(StringComparer.Ordinal);
        // Of several recipes that have a key, the one that the job uses says what its values are.
        foreach (var key in schema.All.GroupBy(k => k.FullName).Select(same => same.FirstOrDefault(k => k.Owner is null || k.Owner == ChosenRecipe(k.Section, values)) ?? same.First()))
        {
            values[key.FullName] = key.Default;
            if (!entries.TryGetValue(key.FullName, out var entry)) continue;
            var (value, error) = ValueConversion.Convert(key, entry);
            if (error is not null) errors.Add(error);
            values[key.FullName] = value;
            origins[key.FullName] = entry.Origin;
        }

        LegacyNames.Apply(values, origins, warnings);
        JobRules.Check(schema, values, origins, errors, warnings);
        if (errors.Count > 0) throw new TitanException(ExitCode.Usage, string.Join(Environment.NewLine, errors));
        return new LoadedJob(Bind(values), origins, values, warnings) { Options = OptionsOf(entries) };
    }

    private string? ChosenRecipe(string section, Dictionary<string, object?> values) =>
        values.GetValueOrDefault($"{section}.{PluginSection.RecipeKey}") as string ?? schema.PluginSections.FirstOrDefault(s => s.Name == section)?.DefaultOwner;

    /// <summary>What each part of a plugin's section is given. A value that does not fit a recipe which the job does not use leaves that recipe its default.</summary>
    private Dictionary<(string Section, string? Owner), IReadOnlyDictionary<string, object?>> OptionsOf(Dictionary<string, ConfigEntry> entries) =>
        schema.PluginSections.SelectMany(s => s.Parts.Select(p => (Section: s.Name, Part: p))).ToDictionary(
            s => (s.Section, s.Part.Owner),
            s => (IReadOnlyDictionary<string, object?>)s.Part.Options.Select(o => ConfigKey.Of(s.Section, o, s.Part.Owner)).ToDictionary(
                key => key.Name, key => entries.TryGetValue(key.FullName, out var entry) && ValueConversion.Convert(key, entry) is (var value, null) ? value : key.Default));

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
