using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using System.Reflection;

namespace Titan.Host.Configuration;

/// <summary>One key of the configuration.</summary>
/// <param name="Section">For example <c>quantize.linear.float8</c>.</param>
/// <param name="Name">For example <c>filter_fqns</c>.</param>
/// <param name="Type">The type of its values, without <c>Nullable</c>.</param>
/// <param name="IsOptional">Whether <c>None</c> is a value.</param>
/// <param name="Default">Its default.</param>
/// <param name="Rules">The attributes that say what its values may be.</param>
public sealed record ConfigKey(string Section, string Name, Type Type, bool IsOptional, object? Default, IReadOnlyList<Attribute> Rules)
{
    /// <summary>Section and name.</summary>
    public string FullName => $"{Section}.{Name}";

    /// <summary>One line.</summary>
    public string Description => Rule<DescriptionAttribute>()?.Description ?? "";

    /// <summary>The recipe that alone has the key, null when the section itself does.</summary>
    public string? Owner { get; init; }

    /// <summary>The type as users know it.</summary>
    public string TypeName
    {
        get
        {
            var name = Type == typeof(bool) ? "true or false" : Type == typeof(string) ? "a string" : Type == typeof(double) ? "a number"
                : OptionType.ElementOf(Type) is { } element ? $"a list of {(element == typeof(string) ? "strings" : element == typeof(double) ? "numbers" : element == typeof(bool) ? "true or false" : "whole numbers")}" : "a whole number";
            return IsOptional ? name + " or None" : name;
        }
    }

    /// <summary>The attribute of a kind; null where there is none.</summary>
    public T? Rule<T>() where T : Attribute => Rules.OfType<T>().FirstOrDefault();

    /// <summary>The key that a property of the job is.</summary>
    public static ConfigKey Of(string section, PropertyInfo property, object? value) =>
        new(section, KeyNames.ToSnakeCase(property.Name), Nullable.GetUnderlyingType(property.PropertyType) ?? property.PropertyType, OptionsRecord.IsOptional(property), value, [.. property.GetCustomAttributes()]);

    /// <summary>The key that an option of a plugin's export is.</summary>
    public static ConfigKey Of(string section, PluginOption option, string? owner)
    {
        var type = OptionType.Parse(option.Type)!;
        List<Attribute> rules = [new DescriptionAttribute(option.Description)];
        if (option.Choices.Count > 0) rules.Add(new AllowedValuesAttribute([.. option.Choices]));
        if (option.Minimum is not null || option.Maximum is not null) rules.Add(new RangeAttribute(option.Minimum ?? double.MinValue, option.Maximum ?? double.MaxValue));
        return new ConfigKey(section, option.Key, type, option.Optional, OptionType.ValueOf(option.Default, type), rules) { Owner = owner };
    }
}
