using System.Collections;
using System.Globalization;
using System.Reflection;
using Titan.Training.Models;

namespace Titan.Host.Configuration;

/// <summary>What a key's value may be: a truth value, a whole number, a number, a string, a name of an enum, or a list of one of these.</summary>
/// <param name="Declared">The type of the property, without <c>Nullable</c>.</param>
/// <param name="Element">The type of one value.</param>
/// <param name="IsList">Whether there are several.</param>
/// <param name="IsOptional">Whether <c>None</c> is a value.</param>
public sealed record KeyType(Type Declared, Type Element, bool IsList, bool IsOptional)
{
    private const int LongestPart = 200;
    private static readonly Type[] Scalars = [typeof(bool), typeof(int), typeof(long), typeof(float), typeof(double), typeof(string)];

    /// <summary>The types that a property may have, for messages.</summary>
    public const string Supported = "bool, int, long, float, double, string, an enum, a list or array of one of these, or a nullable one";

    /// <summary>The type of a property; null when no key may have it.</summary>
    public static KeyType? Of(PropertyInfo property)
    {
        var nullable = Nullable.GetUnderlyingType(property.PropertyType);
        var type = nullable ?? property.PropertyType;
        var optional = nullable is not null || (!type.IsValueType && new NullabilityInfoContext().Create(property).WriteState == NullabilityState.Nullable);
        if (IsScalar(type)) return new KeyType(type, type, false, optional);
        var element = type.IsArray ? type.GetElementType()! : type.IsGenericType && type.GetGenericArguments() is [var only] ? only : null;
        return element is not null && IsScalar(element) && (type.IsAssignableFrom(element.MakeArrayType()) || type == typeof(List<>).MakeGenericType(element))
            ? new KeyType(type, element, true, optional)
            : null;
    }

    /// <summary>The names of an enum's values, as they are written in a job.</summary>
    public IReadOnlyList<string> Names => [.. Enum.GetNames(Element).Select(KeyNames.ToSnakeCase)];

    /// <summary>The type as users know it.</summary>
    public string Name
    {
        get
        {
            var one = Element.IsEnum ? $"one of: {string.Join(", ", Names)}" : Element == typeof(bool) ? "true or false" : Element == typeof(string) ? "a string" : IsWhole ? "a whole number" : "a number";
            var name = !IsList ? one : Element.IsEnum ? $"a list of names, each {one}" : $"a list of {(Element == typeof(bool) ? "true and false" : one[2..] + "s")}";
            return IsOptional ? name + (Element.IsEnum ? "; or None" : " or None") : name;
        }
    }

    /// <summary>Whether values are numbers.</summary>
    public bool IsNumber => IsWhole || Element == typeof(double) || Element == typeof(float);

    private bool IsWhole => Element == typeof(int) || Element == typeof(long);

    /// <summary>What is wrong with a value besides its type, for the end of a message; empty where there is nothing to add.</summary>
    public string HintFor(object value) => Element.IsEnum && value is string name ? Nearest.Hint(name, Names) : "";

    /// <summary>A value from the text of a flag; a list is separated by commas, and empty text is the empty list.</summary>
    public bool TryFromText(string text, out object? value)
    {
        value = null;
        if (IsOptional && text == "None") return true;
        if (IsList) return TryList<string>(text.Length == 0 ? [] : text.Split(','), OneFromText, out value);
        value = OneFromText(text);
        return value is not null;
    }

    /// <summary>A value from a job file.</summary>
    public bool TryFromToml(object given, out object? value)
    {
        value = null;
        if (IsOptional && given is "None") return true;
        if (IsList) return given is List<object> list && TryList<object>(list, OneFromToml, out value);
        value = OneFromToml(given);
        return value is not null;
    }

    private static bool IsScalar(Type type) => type.IsEnum || Scalars.Contains(type);

    private bool TryList<T>(IReadOnlyList<T> parts, Func<T, object?> convert, out object? value)
    {
        value = null;
        var array = Array.CreateInstance(Element, parts.Count);
        for (var i = 0; i < parts.Count; i++)
        {
            if (convert(parts[i]) is not { } one) return false;
            array.SetValue(one, i);
        }

        value = Declared.IsInstanceOfType(array) ? array : Activator.CreateInstance(Declared, array);
        return true;
    }

    private object? OneFromText(string text)
    {
        if (Element == typeof(string)) return IsText(text) ? text : null;
        if (Element.IsEnum) return Member(text);
        if (Element == typeof(bool)) return bool.TryParse(text, out var b) ? b : null;
        if (IsWhole) return long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var whole) ? Whole(whole) : null;
        return double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) ? Number(number) : null;
    }

    private object? OneFromToml(object given) => given switch
    {
        bool b when Element == typeof(bool) => b,
        string s when Element == typeof(string) => IsText(s) ? s : null,
        string s when Element.IsEnum => Member(s),
        long l when IsWhole => Whole(l),
        long l when IsNumber => Number(l),
        double d when IsNumber && !IsWhole => Number(d),
        _ => null,
    };

    private object? Whole(long value) => Element == typeof(long) ? value : value is >= int.MinValue and <= int.MaxValue ? (int)value : null;

    private object? Number(double value) => !double.IsFinite(value) ? null : Element == typeof(double) ? value : float.IsFinite((float)value) ? (float)value : null;

    // No file, folder or name holds this character, and what is native ends at it.
    private static bool IsText(string text) => !text.Contains('\0');

    /// <summary>A member by its name, as in C# or as a key is written; case does not matter.</summary>
    private object? Member(string name) =>
        Enum.GetNames(Element).FirstOrDefault(n => n == name) is { } exact ? Enum.Parse(Element, exact)
        : Enum.GetNames(Element).FirstOrDefault(n => n.Equals(name, StringComparison.OrdinalIgnoreCase) || KeyNames.ToSnakeCase(n).Equals(name.Replace('-', '_'), StringComparison.OrdinalIgnoreCase)) is { } member
            ? Enum.Parse(Element, member)
            : null;

    /// <summary>A value in TOML's notation.</summary>
    public static string Show(object? value) => value switch
    {
        null => "\"None\"",
        bool b => b ? "true" : "false",
        Enum e => Show(KeyNames.ToSnakeCase(e.ToString())),
        string s => System.Text.Json.JsonSerializer.Serialize(s, ConfigPrinter.Json),
        double d => Decimal(d.ToString("R", CultureInfo.InvariantCulture)),
        float f => Decimal(f.ToString("R", CultureInfo.InvariantCulture)),
        IEnumerable list => "[" + string.Join(", ", list.Cast<object?>().Select(Show)) + "]",
        _ => Convert.ToString(value, CultureInfo.InvariantCulture)!,
    };

    /// <summary>A value for a message: what is very long is cut.</summary>
    public static string ShowShort(object? value) => Show(value) is var text && text.Length > LongestPart ? $"{text[..LongestPart]}... ({text.Length} characters)" : text;

    /// <summary>Whether two values are the same.</summary>
    public static bool Same(object? a, object? b) =>
        a is IEnumerable x and not string && b is IEnumerable y and not string ? x.Cast<object?>().SequenceEqual(y.Cast<object?>()) : Equals(a, b);

    private static string Decimal(string text) => text.AsSpan().ContainsAny(".eEN∞") ? text : text + ".0";
}
