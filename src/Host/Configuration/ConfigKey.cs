using System.ComponentModel;
using System.Reflection;

namespace Titan.Host.Configuration;

/// <summary>One key of the configuration.</summary>
/// <param name="Section">For example <c>quantize.linear.float8</c>.</param>
/// <param name="Name">For example <c>filter_fqns</c>.</param>
/// <param name="Type">What its value may be.</param>
/// <param name="Default">Its default.</param>
/// <param name="Description">One line.</param>
/// <param name="Rules">The attributes that say more of its values, see <see cref="ValueRules"/>.</param>
/// <param name="Owner">The recipe or the parallelism that alone has the key, null when the section itself does.</param>
public sealed record ConfigKey(string Section, string Name, KeyType Type, object? Default, string Description, IReadOnlyList<Attribute> Rules, string? Owner)
{
    /// <summary>Section and name.</summary>
    public string FullName => $"{Section}.{Name}";

    /// <summary>Whether it is a switch: a flag without a value.</summary>
    public bool IsSwitch => Type is { IsList: false, IsOptional: false } && Type.Element == typeof(bool);

    /// <summary>The rule of a kind; null where there is none.</summary>
    public T? Rule<T>() where T : Attribute => Rules.OfType<T>().FirstOrDefault();

    /// <summary>The key that a property is.</summary>
    /// <param name="section">Its section.</param>
    /// <param name="property">The property.</param>
    /// <param name="value">Its default.</param>
    /// <exception cref="InvalidOperationException">When no key may have its type.</exception>
    public static ConfigKey Of(string section, PropertyInfo property, object? value) =>
        new(section, KeyNames.ToSnakeCase(property.Name), OptionsRecord.TypeOf(property), value, property.GetCustomAttribute<DescriptionAttribute>()?.Description ?? "", [.. property.GetCustomAttributes()], null);

    /// <summary>The key that an option of a plugin's export is.</summary>
    /// <param name="section">Its section.</param>
    /// <param name="option">The option, without a fault.</param>
    /// <param name="owner">The recipe or the parallelism that has it; null for a converter's own.</param>
    public static ConfigKey Of(string section, PluginOption option, string? owner)
    {
        var type = option.KeyType!;
        _ = type.TryFromJson(option.Default, out var value);
        return new ConfigKey(section, option.Key, type, value, option.Description, option.Rules, owner);
    }
}
