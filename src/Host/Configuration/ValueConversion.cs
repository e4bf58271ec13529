using System.Collections;
using System.ComponentModel.DataAnnotations;
using System.Globalization;
using Titan.Training.Configuration;
using Titan.Training.Models;

namespace Titan.Host.Configuration;

/// <summary>Converts a given value to its key's type and checks the key's rules.</summary>
internal static class ValueConversion
{
    /// <summary>Converts; null result with a null error is the value None.</summary>
    public static (object? Value, string? Error) Convert(ConfigKey key, ConfigEntry entry)
    {
        var (value, ok) = entry.IsText ? FromText(key, (string)entry.Value) : FromToml(key, entry.Value);
        if (!ok) return (null, $"{entry.Origin}: {key.FullName} = {Show(entry.Value)}: expected {key.TypeName}");
        return (value, Broken(key, value) is { } rule ? $"{entry.Origin}: {key.FullName} = {Show(value)}: {rule}" : null);
    }

    private static (object? Value, bool Ok) FromText(ConfigKey key, string text)
    {
        if (key.IsOptional && text == "None") return (null, true);
        return OptionType.ElementOf(key.Type) is { } element
            ? ListOf(element, text.Length == 0 ? [] : text.Split(','), FromText)
            : FromText(key.Type, text);
    }

    private static (object? Value, bool Ok) FromText(Type type, string text)
    {
        if (type == typeof(string)) return (text, true);
        if (type == typeof(bool)) return bool.TryParse(text, out var b) ? (b, true) : (null, false);
        if (type == typeof(int)) return int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var i) ? (i, true) : (null, false);
        if (type == typeof(long)) return long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var l) ? (l, true) : (null, false);
        return double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var d) && double.IsFinite(d) ? (d, true) : (null, false);
    }

    private static (object? Value, bool Ok) FromToml(ConfigKey key, object value) =>
        key.IsOptional && value is "None" ? (null, true)
        : OptionType.ElementOf(key.Type) is { } element ? value is List<object> list ? ListOf(element, list, FromToml) : (null, false)
        : FromToml(key.Type, value);

    private static (object? Value, bool Ok) FromToml(Type type, object value) => value switch
    {
        bool b when type == typeof(bool) => (b, true),
        string s when type == typeof(string) => (s, true),
        long l when type == typeof(long) => (l, true),
        long l when type == typeof(int) => l is >= int.MinValue and <= int.MaxValue ? ((int)l, true) : (null, false),
        long l when type == typeof(double) => ((double)l, true),
        double d when type == typeof(double) && double.IsFinite(d) => (d, true),
        _ => (null, false),
    };

    private static (object? Value, bool Ok) ListOf<T>(Type element, IReadOnlyList<T> items, Func<Type, T, (object? Value, bool Ok)> convert)
    {
        var list = Array.CreateInstance(element, items.Count);
        for (var i = 0; i < items.Count; i++)
        {
            if (convert(element, items[i]) is not (var value, true)) return (null, false);
            list.SetValue(value, i);
        }

        return (list, true);
    }

    private static string? Broken(ConfigKey key, object? value)
    {
        if (key.Rule<NotServedYetAttribute>() is { } notYet && !SameValue(value, key.Default))
            return $"not supported yet ({notYet.Why}); leave it at {Show(key.Default)}";
        if (value is not null && key.Rule<OneOfAttribute>() is { } oneOf && !oneOf.Values.Contains((string)value))
            return $"expected one of: {string.Join(", ", oneOf.Values)}{Nearest.Hint((string)value, oneOf.Values)}";
        if (value is not null && key.Rule<AtLeastAttribute>() is { } least && System.Convert.ToDouble(value, CultureInfo.InvariantCulture) < least.Value)
            return $"expected {least.Value.ToString(CultureInfo.InvariantCulture)} or more";
        foreach (var one in value is IEnumerable list and not string ? list.Cast<object?>() : [value])
        {
            if (one is null) continue;
            if (key.Rule<AllowedValuesAttribute>() is { } allowed && !allowed.Values.Contains(one))
                return $"expected one of: {string.Join(", ", allowed.Values)}{(one is string text ? Nearest.Hint(text, allowed.Values.OfType<string>()) : "")}";
            if (key.Rule<RangeAttribute>() is { Minimum: double from, Maximum: double to } && System.Convert.ToDouble(one, CultureInfo.InvariantCulture) is var number && (number < from || number > to))
                return from == double.MinValue ? $"expected {Number(to)} or less" : to == double.MaxValue ? $"expected {Number(from)} or more" : $"expected a number from {Number(from)} to {Number(to)}";
        }

        return null;
    }

    internal static bool SameValue(object? a, object? b) =>
        a is IEnumerable x and not string && b is IEnumerable y and not string ? x.Cast<object?>().SequenceEqual(y.Cast<object?>()) : Equals(a, b);

    private static string Number(double value) => value.ToString(CultureInfo.InvariantCulture);

    /// <summary>A value in TOML's notation.</summary>
    internal static string Show(object? value) => value switch
    {
        null => "\"None\"",
        bool b => b ? "true" : "false",
        string s => System.Text.Json.JsonSerializer.Serialize(s, ConfigPrinter.Json),
        double d => d.ToString("R", CultureInfo.InvariantCulture) is var t && t.AsSpan().ContainsAny(".eE") ? t : d.ToString("R", CultureInfo.InvariantCulture) + ".0",
        IEnumerable list => "[" + string.Join(", ", list.Cast<object?>().Select(Show)) + "]",
        _ => System.Convert.ToString(value, CultureInfo.InvariantCulture)!,
    };
}
