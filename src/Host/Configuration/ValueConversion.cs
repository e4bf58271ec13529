using System.Globalization;
using System.Reflection;
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
        if (key.Type == typeof(string)) return (text, true);
        if (key.Type == typeof(IReadOnlyList<string>)) return (text.Length == 0 ? Array.Empty<string>() : text.Split(','), true);
        if (key.Type == typeof(int)) return int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var i) ? (i, true) : (null, false);
        if (key.Type == typeof(long)) return long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var l) ? (l, true) : (null, false);
        return double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var d) && double.IsFinite(d) ? (d, true) : (null, false);
    }

    private static (object? Value, bool Ok) FromToml(ConfigKey key, object value) => value switch
    {
        bool b when key.Type == typeof(bool) => (b, true),
        string s when key.IsOptional && s == "None" => (null, true),
        string s when key.Type == typeof(string) => (s, true),
        long l when key.Type == typeof(long) => (l, true),
        long l when key.Type == typeof(int) => l is >= int.MinValue and <= int.MaxValue ? ((int)l, true) : (null, false),
        long l when key.Type == typeof(double) => ((double)l, true),
        double d when key.Type == typeof(double) && double.IsFinite(d) => (d, true),
        List<object> list when key.Type == typeof(IReadOnlyList<string>) && list.All(i => i is string) => (list.Cast<string>().ToArray(), true),
        _ => (null, false),
    };

    private static string? Broken(ConfigKey key, object? value)
    {
        if (key.Property.GetCustomAttribute<NotServedYetAttribute>() is { } notYet && !SameValue(value, key.Default))
            return $"not supported yet ({notYet.Why}); leave it at {Show(key.Default)}";
        if (value is not null && key.Property.GetCustomAttribute<OneOfAttribute>() is { } oneOf && !oneOf.Values.Contains((string)value))
            return $"expected one of: {string.Join(", ", oneOf.Values)}{Nearest.Hint((string)value, oneOf.Values)}";
        if (value is not null && key.Property.GetCustomAttribute<AtLeastAttribute>() is { } least && System.Convert.ToDouble(value, CultureInfo.InvariantCulture) < least.Value)
            return $"expected {least.Value.ToString(CultureInfo.InvariantCulture)} or more";
        return null;
    }

    internal static bool SameValue(object? a, object? b) =>
        a is IReadOnlyList<string> x && b is IReadOnlyList<string> y ? x.SequenceEqual(y) : Equals(a, b);

    /// <summary>A value in TOML's notation.</summary>
    internal static string Show(object? value) => value switch
    {
        null => "\"None\"",
        bool b => b ? "true" : "false",
        string s => System.Text.Json.JsonSerializer.Serialize(s, ConfigPrinter.Json),
        double d => d.ToString("R", CultureInfo.InvariantCulture) is var t && t.AsSpan().ContainsAny(".eE") ? t : d.ToString("R", CultureInfo.InvariantCulture) + ".0",
        IReadOnlyList<string> list => "[" + string.Join(", ", list.Select(i => Show(i))) + "]",
        List<object> list => "[" + string.Join(", ", list.Select(i => Show(i))) + "]",
        _ => System.Convert.ToString(value, CultureInfo.InvariantCulture)!,
    };
}
