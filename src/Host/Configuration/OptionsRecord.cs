using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Reflection;
using System.Text.Json;

namespace Titan.Host.Configuration;

/// <summary>The record that holds the options of an export: which options its properties are, and an instance with given values.</summary>
internal static class OptionsRecord
{
    /// <summary>The options that a record's properties are: name, type and default of each, <see cref="DescriptionAttribute"/>, <see cref="RangeAttribute"/>, <see cref="AllowedValuesAttribute"/>.</summary>
    /// <exception cref="InvalidOperationException">With what is wrong with the record.</exception>
    public static IReadOnlyList<PluginOption> Describe(Type? record)
    {
        if (record?.GetConstructor([]) is null || record.IsAbstract) throw new InvalidOperationException($"its options type {record?.Name ?? "null"} has no public constructor without parameters");
        var defaults = Activator.CreateInstance(record)!;
        return [.. Properties(record).Select(p => Describe(p, p.GetValue(defaults)))];
    }

    /// <summary>An instance with the given values.</summary>
    /// <param name="record">The record.</param>
    /// <param name="values">By key; what is absent keeps its default.</param>
    public static object Create(Type record, IReadOnlyDictionary<string, object?> values)
    {
        var instance = Activator.CreateInstance(record)!;
        foreach (var property in Properties(record))
            if (values.TryGetValue(KeyNames.ToSnakeCase(property.Name), out var value)) property.SetValue(instance, Fit(value, property.PropertyType));
        return instance;
    }

    /// <summary>Whether a property can be null.</summary>
    public static bool IsOptional(PropertyInfo property) => Nullable.GetUnderlyingType(property.PropertyType) is not null
        || (!property.PropertyType.IsValueType && new NullabilityInfoContext().Create(property).WriteState == NullabilityState.Nullable);

    private static IEnumerable<PropertyInfo> Properties(Type record) =>
        record.GetProperties(BindingFlags.Public | BindingFlags.Instance).Where(p => p.SetMethod is { IsPublic: true } && p.GetIndexParameters().Length == 0);

    private static PluginOption Describe(PropertyInfo property, object? value)
    {
        var type = OptionType.NameOf(property.PropertyType)
            ?? throw new InvalidOperationException($"its option {property.Name} has the type {property.PropertyType.Name}; expected a boolean, a number, a string, an enum, or a list of one of these");
        var element = Nullable.GetUnderlyingType(property.PropertyType) ?? OptionType.ElementOf(property.PropertyType) ?? property.PropertyType;
        var range = property.GetCustomAttribute<RangeAttribute>();
        IEnumerable<string> choices = element.IsEnum ? Enum.GetNames(element) : property.GetCustomAttribute<AllowedValuesAttribute>()?.Values.OfType<string>() ?? [];
        var option = new PluginOption(KeyNames.ToSnakeCase(property.Name), type, JsonSerializer.SerializeToElement(Plain(value)), property.GetCustomAttribute<DescriptionAttribute>()?.Description ?? "")
        {
            Optional = IsOptional(property), Choices = [.. choices], Minimum = Bound(range?.Minimum), Maximum = Bound(range?.Maximum),
        };
        return option.Fault() is { } fault ? throw new InvalidOperationException($"its option {property.Name} cannot be used: {fault}") : option;
    }

    private static double? Bound(object? bound) => bound is null ? null : Convert.ToDouble(bound, CultureInfo.InvariantCulture);

    /// <summary>A default as JSON has it: enums by their name, numbers that JSON cannot write as text, which then is of the wrong type.</summary>
    private static object? Plain(object? value) => value switch
    {
        Enum name => name.ToString(),
        double number when !double.IsFinite(number) => number.ToString(CultureInfo.InvariantCulture),
        // By way of decimal text: 0.1f is 0.1, not 0.10000000149.
        float number => float.IsFinite(number) ? double.Parse(number.ToString("R", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture) : number.ToString(CultureInfo.InvariantCulture),
        string text => text,
        System.Collections.IEnumerable list => list.Cast<object?>().Select(Plain).ToArray(),
        _ => value,
    };

    /// <summary>A value of the configuration as a property takes it: enums from their names, lists as arrays or <see cref="List{T}"/>.</summary>
    private static object? Fit(object? value, Type property)
    {
        var type = Nullable.GetUnderlyingType(property) ?? property;
        if (value is null || type.IsInstanceOfType(value)) return value;
        if (type.IsEnum) return Enum.Parse(type, (string)value);
        if (OptionType.ElementOf(type) is not { } element) return Convert.ChangeType(value, type, CultureInfo.InvariantCulture);
        var items = ((System.Collections.IEnumerable)value).Cast<object?>().Select(v => Fit(v, element)).ToList();
        var array = Array.CreateInstance(element, items.Count);
        for (var i = 0; i < items.Count; i++) array.SetValue(items[i], i);
        return type.IsInstanceOfType(array) ? array : Activator.CreateInstance(type, array);
    }
}
