using System.ComponentModel;
using System.Reflection;
using Titan.Training.Configuration;

namespace Titan.Host.Configuration;

/// <summary>Every section and key that a job may have: upstream's, and those of the loaded plugins.</summary>
public sealed class ConfigSchema
{
    private readonly Dictionary<string, List<ConfigKey>> keys = new(StringComparer.Ordinal);

    /// <summary>Builds the schema.</summary>
    public ConfigSchema(IReadOnlyList<PluginSection> pluginSections)
    {
        PluginSections = pluginSections;
        foreach (var property in typeof(JobConfig).GetProperties().Where(IsSection)) AddRecord(KeyNames.ToSnakeCase(property.Name), property.PropertyType, null);
        foreach (var section in pluginSections)
            foreach (var part in section.Parts)
                AddRecord(section.Name, part.Type, part.Owner);
        Sections = [.. All.Select(k => k.Section).Distinct()];
    }

    /// <summary>The sections that plugins add.</summary>
    public IReadOnlyList<PluginSection> PluginSections { get; }

    /// <summary>All section names.</summary>
    public IReadOnlyList<string> Sections { get; }

    /// <summary>All keys, in order of declaration. A key that several recipes share appears once for each.</summary>
    public List<ConfigKey> All { get; } = [];

    /// <summary>The keys with this full name; more than one when several recipes have it.</summary>
    public IReadOnlyList<ConfigKey> Find(string fullName) => keys.TryGetValue(fullName, out var found) ? found : [];

    /// <summary>What keeps a record from being a section; null when it can be one.</summary>
    public static string? ProblemOf(Type options) => options.GetProperties().Where(p => p.CanWrite)
        .Select(p => IsSection(p) ? ProblemOf(p.PropertyType) : KeyType.Of(p) is null ? Unsupported(p) : null).FirstOrDefault(p => p is not null);

    internal static bool IsSection(PropertyInfo property) => property.PropertyType.Name.EndsWith("Section", StringComparison.Ordinal);

    private static string Unsupported(PropertyInfo property) =>
        $"its options type {property.DeclaringType!.Name} has {property.Name} of type {property.PropertyType.Name}, which is no type of a key; a key may be {KeyType.Supported}";

    private void AddRecord(string section, Type type, string? owner)
    {
        var defaults = Activator.CreateInstance(type)!;
        foreach (var property in type.GetProperties().Where(p => p.CanWrite))
        {
            var name = KeyNames.ToSnakeCase(property.Name);
            if (IsSection(property))
            {
                AddRecord($"{section}.{name}", property.PropertyType, owner);
                continue;
            }

            var kind = KeyType.Of(property) ?? throw new InvalidOperationException(Unsupported(property));
            var key = new ConfigKey(section, name, property, kind, property.GetValue(defaults), property.GetCustomAttribute<DescriptionAttribute>()?.Description ?? "", owner);
            All.Add(key);
            if (!keys.TryGetValue(key.FullName, out var list)) keys[key.FullName] = list = [];
            list.Add(key);
        }
    }
}
