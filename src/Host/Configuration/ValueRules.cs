using System.Collections;
using System.ComponentModel.DataAnnotations;
using System.Globalization;
using Titan.Training.Configuration;
using Titan.Training.Models;

namespace Titan.Host.Configuration;

/// <summary>
/// The rules that a key carries itself, as attributes: those of <c>System.ComponentModel.DataAnnotations</c> (<c>Range</c>, <c>AllowedValues</c>, <c>DeniedValues</c>, any other),
/// which plugins' options may have too, and <see cref="NotServedYetAttribute"/>. On a list they hold for each element.
/// </summary>
internal static class ValueRules
{
    /// <summary>The rule that a value breaks, as the end of a message; null when it breaks none.</summary>
    public static string? Broken(ConfigKey key, object? value)
    {
        if (key.Rule<NotServedYetAttribute>() is { } notYet && !KeyType.Same(value, key.Default))
            return $"not supported yet ({notYet.Why}); leave it at {KeyType.Show(key.Default)}";
        if (value is null) return null;
        foreach (var rule in key.Rules.OfType<ValidationAttribute>())
        {
            foreach (var one in value is IEnumerable list and not string ? list.Cast<object>() : [value])
                if (!Holds(rule, one)) return Said(key, rule, one, isElement: !ReferenceEquals(one, value));
        }

        return null;
    }

    /// <summary>The rules of a key in words, for its documentation; empty where it has none.</summary>
    public static string Describe(ConfigKey key)
    {
        var rules = key.Rules.OfType<ValidationAttribute>().ToList();
        var words = rules.Select(r => r switch
        {
            AllowedValuesAttribute allowed => $"One of: {Join(allowed.Values)}.",
            RangeAttribute range => Capital(Words(range, rules.OfType<DeniedValuesAttribute>().FirstOrDefault())) + ".",
            DeniedValuesAttribute denied when !rules.OfType<RangeAttribute>().Any() => $"Not {Join(denied.Values)}.",
            _ => null,
        });
        return string.Concat(words.OfType<string>().Select(w => " " + w));
    }

    private static bool Holds(ValidationAttribute rule, object value) => rule switch
    {
        RangeAttribute range => Holds(range, System.Convert.ToDouble(value, CultureInfo.InvariantCulture)),
        AllowedValuesAttribute allowed => allowed.Values.Any(v => IsSame(v, value)),
        DeniedValuesAttribute denied => !denied.Values.Any(v => IsSame(v, value)),
        _ => rule.IsValid(value),
    };

    private static bool Holds(RangeAttribute range, double value)
    {
        var (least, most) = Bounds(range);
        return (range.MinimumIsExclusive ? value > least : value >= least) && (range.MaximumIsExclusive ? value < most : value <= most);
    }

    private static string Said(ConfigKey key, ValidationAttribute rule, object value, bool isElement)
    {
        var text = rule switch
        {
            _ when OptionsRecord.OwnMessage(rule) is { } own => own,
            AllowedValuesAttribute allowed => $"expected one of: {Join(allowed.Values)}{(value is string name ? Nearest.Hint(name, allowed.Values.OfType<string>()) : "")}",
            RangeAttribute range => $"expected {Words(range, key.Rule<DeniedValuesAttribute>())}",
            DeniedValuesAttribute denied when key.Rule<RangeAttribute>() is { } range => $"expected {Words(range, denied)}",
            DeniedValuesAttribute denied => $"expected none of: {Join(denied.Values)}",
            _ => rule.FormatErrorMessage(key.FullName),
        };
        return isElement ? $"{KeyType.ShowShort(value)}: {text}" : text;
    }

    private static string Words(RangeAttribute range, DeniedValuesAttribute? denied)
    {
        var (least, most) = Bounds(range);
        // A special value below, such as -1, is named apart from the values from 1 on.
        if (least == -1 && denied?.Values is [{ } none] && IsSame(none, 0)) return $"{Words(1, most, false, range.MaximumIsExclusive)}, or -1";
        if (least == -1) return $"{Words(0, most, false, range.MaximumIsExclusive)}, or -1";
        var words = Words(least, most, range.MinimumIsExclusive, range.MaximumIsExclusive);
        return denied is null ? words : $"{words}, but not {Join(denied.Values)}";
    }

    private static string Words(double least, double most, bool above, bool below)
    {
        if (least is int.MinValue or long.MinValue or <= double.MinValue) return below ? $"less than {Number(most)}" : $"{Number(most)} or less";
        var from = above ? $"more than {Number(least)}" : Number(least);
        if (most is int.MaxValue or long.MaxValue or >= double.MaxValue) return above ? from : $"{from} or more";
        return above || below ? $"{(above ? from : $"{from} or more")} and {(below ? $"less than {Number(most)}" : $"at most {Number(most)}")}" : $"from {from} to {Number(most)}";
    }

    private static (double Least, double Most) Bounds(RangeAttribute range) =>
        (System.Convert.ToDouble(range.Minimum, CultureInfo.InvariantCulture), System.Convert.ToDouble(range.Maximum, CultureInfo.InvariantCulture));

    private static bool IsSame(object? allowed, object value) => allowed is not null && (Equals(allowed, value)
        || (allowed is not string && value is not string and not Enum and not bool && System.Convert.ToDouble(allowed, CultureInfo.InvariantCulture).Equals(System.Convert.ToDouble(value, CultureInfo.InvariantCulture))));

    private static string Join(IEnumerable<object?> values) => string.Join(", ", values.Select(v => v is Enum e ? KeyNames.ToSnakeCase(e.ToString()) : System.Convert.ToString(v, CultureInfo.InvariantCulture)));

    private static string Number(double value) => value.ToString(CultureInfo.InvariantCulture);

    private static string Capital(string text) => char.ToUpperInvariant(text[0]) + text[1..];
}
