using System.Text.Json;

namespace Titan.Host.Configuration;

/// <summary>The types that an option of a plugin may have, by their names in a manifest. An enum is a string with choices.</summary>
internal static class OptionType
{
    private const string List = "[]";

    private static readonly Dictionary<string, Type> Scalars = new()
    {
        ["boolean"] = typeof(bool), ["int32"] = typeof(int), ["int64"] = typeof(long), ["number"] = typeof(double), ["string"] = typeof(string),
    };

    /// <summary>All names.</summary>
    public static IEnumerable<string> Names => [.. Scalars.Keys, .. Scalars.Keys.Select(n => n + List)];

    /// <summary>The type of the values of a name: <c>int</c>, <c>IReadOnlyList&lt;string&gt;</c>; null for a name that is none.</summary>
    public static Type? Parse(string name) =>
        Scalars.TryGetValue(name, out var scalar) ? scalar
        : name.EndsWith(List, StringComparison.Ordinal) && Scalars.TryGetValue(name[..^List.Length], out var element) ? typeof(IReadOnlyList<>).MakeGenericType(element)
        : null;

    /// <summary>The name for a property's type; null for a type that no option may have.</summary>
    public static string? NameOf(Type property)
    {
        var type = Nullable.GetUnderlyingType(property) ?? property;
        if (Scalar(type) is { } scalar) return scalar;
        return ElementOf(type) is { } element && Scalar(element) is { } name ? name + List : null;
    }

    /// <summary>The type of a list's elements; null for what is no list that an array or a <see cref="List{T}"/> can be assigned to.</summary>
    public static Type? ElementOf(Type type)
    {
        var element = type.IsArray ? type.GetElementType() : type is { IsGenericType: true } && type.GetGenericArguments() is [var argument] ? argument : null;
        return element is not null && (type.IsAssignableFrom(element.MakeArrayType()) || type == typeof(List<>).MakeGenericType(element)) ? element : null;
    }

    /// <summary>Whether a JSON value is of a type that <see cref="Parse"/> returns.</summary>
    public static bool Fits(JsonElement value, Type type, bool optional)
    {
        if (value.ValueKind is JsonValueKind.Null or JsonValueKind.Undefined) return optional;
        if (ElementOf(type) is { } element) return value.ValueKind == JsonValueKind.Array && value.EnumerateArray().All(v => Fits(v, element, false));
        return value.ValueKind switch
        {
            JsonValueKind.True or JsonValueKind.False => type == typeof(bool),
            JsonValueKind.String => type == typeof(string),
            JsonValueKind.Number => type == typeof(double) ? double.IsFinite(value.GetDouble()) : type == typeof(int) ? value.TryGetInt32(out _) : type == typeof(long) && value.TryGetInt64(out _),
            _ => false,
        };
    }

    /// <summary>A JSON value that <see cref="Fits"/>, as the configuration holds values.</summary>
    public static object? ValueOf(JsonElement value, Type type)
    {
        if (value.ValueKind is JsonValueKind.Null or JsonValueKind.Undefined) return null;
        if (type == typeof(bool)) return value.GetBoolean();
        if (type == typeof(string)) return value.GetString();
        if (type == typeof(int)) return value.GetInt32();
        if (type == typeof(long)) return value.GetInt64();
        if (ElementOf(type) is not { } element) return value.GetDouble();
        var list = Array.CreateInstance(element, value.GetArrayLength());
        for (var i = 0; i < list.Length; i++) list.SetValue(ValueOf(value[i], element), i);
        return list;
    }

    private static string? Scalar(Type type) =>
        type.IsEnum ? "string" : type == typeof(float) ? "number" : Scalars.FirstOrDefault(s => s.Value == type).Key;
}
