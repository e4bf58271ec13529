using System.Reflection;
using Titan.Training.Configuration;
using Titan.Training.Models;

namespace Titan.Host.Configuration;

/// <summary>Every section and key that a job may have: upstream's, and those that the manifests of the plugins list.</summary>
public sealed class ConfigSchema
{
    private readonly Dictionary<string, List<ConfigKey>> keys = new(StringComparer.Ordinal);

    /// <summary>Builds the schema.</summary>
    public ConfigSchema(IReadOnlyList<PluginSection> pluginSections)
    {
        PluginSections = pluginSections;
        foreach (var property in typeof(JobConfig).GetProperties().Where(IsSection)) AddRecord(KeyNames.ToSnakeCase(property.Name), property.PropertyType);
        foreach (var section in pluginSections)
            foreach (var part in section.Parts)
                foreach (var option in part.Options)
                    Add(ConfigKey.Of(section.Name, option, part.Owner));
        Sections = [.. All.Select(k => k.Section).Distinct()];
    }

    /// <summary>The models that a job may name.</summary>
    public ModelNames Models { get; init; } = ModelRegistry.CreateDefault().Names;

    /// <summary>The sections that plugins add.</summary>
    public IReadOnlyList<PluginSection> PluginSections { get; }

    /// <summary>All section names.</summary>
    public IReadOnlyList<string> Sections { get; }

    /// <summary>All keys, in order of declaration. A key that several recipes share appears once for each.</summary>
    public List<ConfigKey> All { get; } = [];

    /// <summary>The keys with this full name; more than one when several recipes have it.</summary>
    public IReadOnlyList<ConfigKey> Find(string fullName) => keys.TryGetValue(fullName, out var found) ? found : [];

    internal static bool IsSection(PropertyInfo property) => property.PropertyType.Name.EndsWith("Section", StringComparison.Ordinal);

    private void AddRecord(string section, Type type)
    {
        var defaults = Activator.CreateInstance(type)!;
        foreach (var property in type.GetProperties().Where(p => p.CanWrite))
        {
            var name = KeyNames.ToSnakeCase(property.Name);
            if (IsSection(property))
            {
                AddRecord($"{section}.{name}", property.PropertyType);
                continue;
            }

            Add(ConfigKey.Of(section, property, property.GetValue(defaults)));
        }
    }

    private void Add(ConfigKey key)
    {
        All.Add(key);
        if (!keys.TryGetValue(key.FullName, out var list)) keys[key.FullName] = list = [];
        list.Add(key);
    }
}
