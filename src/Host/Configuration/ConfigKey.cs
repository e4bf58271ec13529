using System.Reflection;

namespace Titan.Host.Configuration;

/// <summary>One key of the configuration.</summary>
/// <param name="Section">For example <c>quantize.linear.float8</c>.</param>
/// <param name="Name">For example <c>filter_fqns</c>.</param>
/// <param name="Property">Where its value goes.</param>
/// <param name="Type">What its value may be.</param>
/// <param name="Default">Its default.</param>
/// <param name="Description">One line.</param>
/// <param name="Owner">The recipe that alone has the key, null when the section itself does.</param>
public sealed record ConfigKey(string Section, string Name, PropertyInfo Property, KeyType Type, object? Default, string Description, string? Owner)
{
    /// <summary>Section and name.</summary>
    public string FullName => $"{Section}.{Name}";

    /// <summary>Whether it is a switch: a flag without a value.</summary>
    public bool IsSwitch => Type is { IsList: false, IsOptional: false } && Type.Element == typeof(bool);
}
