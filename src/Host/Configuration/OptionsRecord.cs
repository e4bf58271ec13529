using System.Collections;
using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Reflection;
using System.Text.Json;

namespace Titan.Host.Configuration;

/// <summary>The record that holds the options of an export: which options its properties are, and an instance with given values.</summary>
internal static class OptionsRecord
{
    /// <summary>
    /// The options that a record's properties are: name, type and default of each, <see cref="DescriptionAttribute"/>, <see cref="RangeAttribute"/>, <see cref="AllowedValuesAttribute"/>,
    /// <see cref="DeniedValuesAttribute"/>. A rule that a manifest has no words for, another one or one with its own message, is checked once the plugin is loaded.
    /// </summary>
    /// <exception cref="InvalidOperationException">With what is wrong with the record.</exception>
    public static IReadOnlyList<PluginOption> Describe(Type? record)
    {
        if (record?.GetConstructor([]) is null || record.IsAbstract) throw new InvalidOperationException($"its options type {record?.Name ?? "null"} has no public constructor without parameters");
        var defaults = Activator.CreateInstance(record)!;
        return [.. Properties(record).Select(p => Describe(p, p.GetValue(defaults)))];
    }

    /// <summary>Where a contract asks for the options record of an export: its property <c>OptionsType</c>, or that of an interface that it extends; null where it has none.</summary>
    public static PropertyInfo? PropertyOf(Type contract) => contract.GetInterfaces().Prepend(contract).Select(i => i.GetProperty("OptionsType", typeof(Type))).FirstOrDefault(p => p is not null);

    /// <summary>An instance with the given values.</summary>
    /// <param name="record">The record.</param>
    /// <param name="values">By key; what is absent keeps its default.</param>
    public static object Create(Type record, IReadOnlyDictionary<string, object?> values)
    {
        var instance = Activator.CreateInstance(record)!;
        foreach (var property in Properties(record))
            if (values.TryGetValue(KeyNames.ToSnakeCase(property.Name), out var value)) property.SetValue(instance, TypeOf(property).Fit(value));
        return instance;
    }

    /// <summary>The properties that are options.</summary>
    public static IEnumerable<PropertyInfo> Properties(Type record) =>
        record.GetProperties(BindingFlags.Public | BindingFlags.Instance).Where(p => p.SetMethod is { IsPublic: true } && p.GetIndexParameters().Length == 0);

    /// <summary>What the value of a property may be.</summary>
    /// <exception cref="InvalidOperationException">When no key may have its type.</exception>
    public static KeyType TypeOf(PropertyInfo property) => KeyType.Of(property) ?? throw new InvalidOperationException(
        $"its options type {property.DeclaringType!.Name} has {property.Name} of type {property.PropertyType.Name}, which is no type of a key; a key may be {KeyType.Supported}");

    /// <summary>What was written beside a rule, which knows more than the rule; null for nothing. Two of the attributes come with a text that knows less.</summary>
    public static string? OwnMessage(ValidationAttribute rule) =>
        rule.ErrorMessage is { } text && text != new AllowedValuesAttribute().ErrorMessage && text != new DeniedValuesAttribute().ErrorMessage ? text : null;

    private static PluginOption Describe(PropertyInfo property, object? value)
    {
        var type = TypeOf(property);
        var range = Rule<RangeAttribute>(property);
        var allowed = Texts(Rule<AllowedValuesAttribute>(property)?.Values);
        var option = new PluginOption(KeyNames.ToSnakeCase(property.Name), type.ManifestName, JsonSerializer.SerializeToElement(Plain(value)), property.GetCustomAttribute<DescriptionAttribute>()?.Description ?? "")
        {
            Optional = type.IsOptional, Choices = allowed.Count > 0 ? allowed : type.Names, Denied = Texts(Rule<DeniedValuesAttribute>(property)?.Values),
            Minimum = Bound(range?.Minimum), Maximum = Bound(range?.Maximum), MinimumIsExclusive = range?.MinimumIsExclusive == true, MaximumIsExclusive = range?.MaximumIsExclusive == true,
        };
        return option.Fault() is { } fault ? throw new InvalidOperationException($"its option {property.Name} cannot be used: {fault}") : option;
    }

    private static T? Rule<T>(PropertyInfo property) where T : ValidationAttribute => property.GetCustomAttributes<T>().FirstOrDefault(r => OwnMessage(r) is null);

    private static IReadOnlyList<string> Texts(object?[]? values) => [.. (values ?? []).OfType<object>().Select(v => v is Enum name ? KeyNames.ToSnakeCase(name.ToString()) : Convert.ToString(v, CultureInfo.InvariantCulture)!)];

    private static double? Bound(object? bound) => bound is null || Convert.ToDouble(bound, CultureInfo.InvariantCulture) is var number && !double.IsFinite(number) ? null : number;

    /// <summary>A default as JSON has it: enums by their name, numbers that JSON cannot write as text, which then is of the wrong type.</summary>
    private static object? Plain(object? value) => value switch
    {
        Enum name => KeyNames.ToSnakeCase(name.ToString()),
        double number when !double.IsFinite(number) => number.ToString(CultureInfo.InvariantCulture),
        // By way of decimal text: 0.1f is 0.1, not 0.10000000149.
        float number => float.IsFinite(number) ? double.Parse(number.ToString("R", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture) : number.ToString(CultureInfo.InvariantCulture),
        string text => text,
        IEnumerable list => list.Cast<object?>().Select(Plain).ToArray(),
        _ => value,
    };
}
