using System.Collections;
using System.Globalization;
using System.Reflection;
using System.Text.Encodings.Web;
using System.Text.Json;
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
    private const string List = "[]";
    private const string OneOfNames = "enum";

    private static readonly JsonSerializerOptions Json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    // By their names in a manifest.
    private static readonly Dictionary<string, Type> Scalars = new()
    {
        ["boolean"] = typeof(bool), ["int32"] = typeof(int), ["int64"] = typeof(long), ["float32"] = typeof(float), ["number"] = typeof(double), ["string"] = typeof(string),
    };

    /// <summary>The types that a property may have, for messages.</summary>
    public const string Supported = "bool, int, long, float, double, string, an enum, a list or array of one of these, or a nullable one";

    /// <summary>The types' names in a manifest.</summary>
    public static IEnumerable<string> ManifestNames => from list in (string[])["", List] from name in Scalars.Keys.Append(OneOfNames) select name + list;

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

    /// <summary>The type that a manifest names; null for a name that is none. An enum of a plugin is known by its names alone: its values are strings.</summary>
    /// <param name="name">One of <see cref="ManifestNames"/>.</param>
    /// <param name="optional">Whether <c>None</c> is a value.</param>
    /// <param name="names">The names of an enum's values.</param>
    public static KeyType? Parse(string name, bool optional, IReadOnlyList<string> names)
    {
        var isList = name.EndsWith(List, StringComparison.Ordinal);
        var one = isList ? name[..^List.Length] : name;
        var element = one == OneOfNames ? typeof(string) : Scalars.GetValueOrDefault(one);
        return element is null || (one == OneOfNames && names.Count == 0) ? null
            : new KeyType(isList ? typeof(IReadOnlyList<>).MakeGenericType(element) : element, element, isList, optional) { Names = one == OneOfNames ? names : [] };
    }

    /// <summary>The type's name in a manifest.</summary>
    public string ManifestName => (Names.Count > 0 ? OneOfNames : Scalars.First(s => s.Value == Element).Key) + (IsList ? List : "");

    /// <summary>The names of an enum's values, as they are written in a job; empty for a type that is none.</summary>
    public IReadOnlyList<string> Names { get; private init; } = Element.IsEnum ? [.. Enum.GetNames(Element).Select(KeyNames.ToSnakeCase)] : [];

    /// <summary>The type as users know it.</summary>
    public string Name
    {
        get
        {
            var one = Names.Count > 0 ? $"one of: {string.Join(", ", Names)}" : Element == typeof(bool) ? "true or false" : Element == typeof(string) ? "a string" : IsWhole ? "a whole number" : "a number";
            var name = !IsList ? one : Names.Count > 0 ? $"a list of names, each {one}" : $"a list of {(Element == typeof(bool) ? "true and false" : one[2..] + "s")}";
            return IsOptional ? name + (Names.Count > 0 ? "; or None" : " or None") : name;
        }
    }

    /// <summary>Whether values are numbers.</summary>
    public bool IsNumber => IsWhole || Element == typeof(double) || Element == typeof(float);

    private bool IsWhole => Element == typeof(int) || Element == typeof(long);

    /// <summary>What is wrong with a value besides its type, for the end of a message; empty where there is nothing to add.</summary>
    public string HintFor(object value) => Names.Count > 0 && value is string name ? Nearest.Hint(name, Names) : "";

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

    /// <summary>A value from a manifest.</summary>
    public bool TryFromJson(JsonElement given, out object? value)
    {
        value = null;
        return given.ValueKind is JsonValueKind.Null or JsonValueKind.Undefined ? IsOptional : TryFromToml(Plain(given), out value);

        static object Plain(JsonElement json) => json.ValueKind switch
        {
            JsonValueKind.True or JsonValueKind.False => json.GetBoolean(),
            JsonValueKind.String => json.GetString()!,
            JsonValueKind.Number => json.TryGetInt64(out var whole) ? (object)whole : json.GetDouble(),
            JsonValueKind.Array => json.EnumerateArray().Select(Plain).ToList(),
            _ => json,
        };
    }

    /// <summary>A value of the same key of another type, known from a manifest, as a property of this type holds it.</summary>
    public object? Fit(object? value)
    {
        if (value is null || Declared.IsInstanceOfType(value)) return value;
        if (!IsList) return One(value);
        return TryList([.. ((IEnumerable)value).Cast<object>()], One, out var list) ? list : throw new ArgumentException($"{Show(value)} is not {Name}", nameof(value));

        object? One(object given) => Element.IsEnum ? Member((string)given) : given;
    }

    private static bool IsScalar(Type type) => type.IsEnum || Scalars.ContainsValue(type);

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

    /// <summary>One value from text; null for text that is of another type.</summary>
    internal object? OneFromText(string text)
    {
        if (Names.Count > 0) return Member(text);
        if (Element == typeof(string)) return IsText(text) ? text : null;
        if (Element == typeof(bool)) return bool.TryParse(text, out var b) ? b : null;
        if (IsWhole) return long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var whole) ? Whole(whole) : null;
        return double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) ? Number(number) : null;
    }

    private object? OneFromToml(object given) => given switch
    {
        bool b when Element == typeof(bool) => b,
        string s when Names.Count > 0 => Member(s),
        string s when Element == typeof(string) => IsText(s) ? s : null,
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
    private object? Member(string name)
    {
        var found = Names.FirstOrDefault(n => n == name || n == KeyNames.ToSnakeCase(name)) ?? Names.FirstOrDefault(n => Bare(n).Equals(Bare(name), StringComparison.OrdinalIgnoreCase));
        return found is null ? null : Element.IsEnum ? Enum.Parse(Element, Enum.GetNames(Element).First(n => KeyNames.ToSnakeCase(n) == found)) : found;

        static string Bare(string text) => text.Replace("_", "", StringComparison.Ordinal).Replace("-", "", StringComparison.Ordinal);
    }

    /// <summary>A value in TOML's notation.</summary>
    public static string Show(object? value) => value switch
    {
        null => "\"None\"",
        bool b => b ? "true" : "false",
        Enum e => Show(KeyNames.ToSnakeCase(e.ToString())),
        string s => JsonSerializer.Serialize(s, Json),
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
