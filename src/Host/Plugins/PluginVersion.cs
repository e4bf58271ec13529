using System.Globalization;
using System.Numerics;
using System.Text.RegularExpressions;

namespace Titan.Host.Plugins;

/// <summary>A plugin's version, ordered as semantic versioning 2.0 orders them: 1.0.0-beta.2 before 1.0.0-beta.11 before 1.0.0. Two to four numbers.</summary>
internal sealed partial class PluginVersion : IComparable<PluginVersion>
{
    private readonly BigInteger[] numbers;
    private readonly string[] before;

    private PluginVersion(BigInteger[] numbers, string[] before) => (this.numbers, this.before) = (numbers, before);

    /// <summary>Parses a version; null when the text is none.</summary>
    public static PluginVersion? Parse(string text)
    {
        var match = Pattern().Match(text);
        if (!match.Success) return null;
        var numbers = match.Groups[1].Value.Split('.').Select(n => BigInteger.Parse(n, CultureInfo.InvariantCulture)).ToList();
        while (numbers.Count < 4) numbers.Add(0);
        return new PluginVersion([.. numbers], match.Groups[2].Success ? match.Groups[2].Value.Split('.') : []);
    }

    /// <inheritdoc />
    public int CompareTo(PluginVersion? other)
    {
        if (other is null) return 1;
        for (var i = 0; i < numbers.Length; i++)
            if (numbers[i].CompareTo(other.numbers[i]) is not 0 and var order) return order;
        // A version without a pre-release part is later than any with one.
        if (before.Length == 0 || other.before.Length == 0) return other.before.Length.CompareTo(before.Length);
        for (var i = 0; i < Math.Min(before.Length, other.before.Length); i++)
            if (Compare(before[i], other.before[i]) is not 0 and var order) return order;
        return before.Length.CompareTo(other.before.Length);
    }

    /// <summary>Numbers by value and before words, words by their characters.</summary>
    private static int Compare(string one, string other)
    {
        bool isNumber = one.All(char.IsAsciiDigit), isOther = other.All(char.IsAsciiDigit);
        return isNumber && isOther ? BigInteger.Parse(one, CultureInfo.InvariantCulture).CompareTo(BigInteger.Parse(other, CultureInfo.InvariantCulture))
            : isNumber != isOther ? (isNumber ? -1 : 1)
            : string.CompareOrdinal(one, other);
    }

    [GeneratedRegex(@"\A([0-9]{1,9}(?:\.[0-9]{1,9}){1,3})(?:-([0-9A-Za-z-]{1,50}(?:\.[0-9A-Za-z-]{1,50}){0,9}))?(?:\+[0-9A-Za-z.-]{1,200})?\z")]
    private static partial Regex Pattern();
}
