using System.Reflection;

namespace Titan.Host.Configuration;

/// <summary>One key of the configuration.</summary>
/// <param name="Section">For example <c>quantize.linear.float8</c>.</param>
/// <param name="Name">For example <c>filter_fqns</c>.</param>
/// <param name="Property">Where its value goes.</param>
/// <param name="Default">Its default.</param>
/// <param name="Description">One line.</param>
/// <param name="Owner">The recipe that alone has the key, null when the section itself does.</param>
public sealed record ConfigKey(string Section, string Name, PropertyInfo Property, object? Default, string Description, string? Owner)
{
    /// <summary>Section and name.</summary>
    public string FullName => $"{Section}.{Name}";

    /// <summary>The type of the value without <c>Nullable</c>.</summary>
    public Type Type => Nullable.GetUnderlyingType(Property.PropertyType) ?? Property.PropertyType;

    /// <summary>Whether <c>None</c> is a value.</summary>
    public bool IsOptional => Nullable.GetUnderlyingType(Property.PropertyType) is not null
        || (!Property.PropertyType.IsValueType && new NullabilityInfoContext().Create(Property).WriteState == NullabilityState.Nullable);

    /// <summary>The type as users know it.</summary>
    public string TypeName
    {
        get
        {
            var name = Type == typeof(bool) ? "true or false" : Type == typeof(string) ? "a string" : Type == typeof(double) ? "a number"
                : Type == typeof(IReadOnlyList<string>) ? "a list of strings" : "a whole number";
            return IsOptional ? name + " or None" : name;
        }
    }
}
