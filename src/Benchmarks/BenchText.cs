using System.Globalization;
using Titan.Abstractions;
using Titan.Training.Models;

namespace Titan.Benchmarks;

/// <summary>Numbers of benchmarks, as text and from text.</summary>
public static class BenchText
{
    /// <summary>A count with a binary unit where it is a whole number of them: 4M.</summary>
    public static string Count(long count) => count % (1 << 20) == 0 ? $"{count >> 20}M" : count % (1 << 10) == 0 ? $"{count >> 10}K" : $"{count}";

    /// <summary>Billions per second, three digits.</summary>
    public static string Rate(double perSecond) => Digits(perSecond / 1e9);

    /// <summary>How many times as fast.</summary>
    public static string Ratio(double ratio) => ratio.ToString("F2", CultureInfo.InvariantCulture) + "x";

    /// <summary>A part of the whole in percent.</summary>
    public static string Percent(double part) => (part * 100).ToString("F0", CultureInfo.InvariantCulture) + " %";

    /// <summary>Milliseconds.</summary>
    public static string Milliseconds(double seconds) => (seconds * 1e3).ToString("F2", CultureInfo.InvariantCulture);

    /// <summary>A number with about three digits.</summary>
    /// <param name="value">The number.</param>
    /// <param name="small">Digits after the point of a number below 1.</param>
    public static string Digits(double value, int small = 2) => value.ToString(value >= 100 ? "F0" : value >= 10 ? "F1" : value >= 1 ? "F2" : $"F{small}", CultureInfo.InvariantCulture);

    /// <summary>A whole number within bounds; K and M are binary units.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/>.</exception>
    public static long Whole(string option, string text, long least, long most)
    {
        var plain = text.Trim();
        var unit = plain.Length == 0 ? 1 : char.ToUpperInvariant(plain[^1]) switch { 'K' => 1L << 10, 'M' => 1L << 20, _ => 1 };
        return long.TryParse(unit == 1 ? plain : plain[..^1], NumberStyles.None, CultureInfo.InvariantCulture, out var value) && value <= most / unit && value * unit >= least
            ? value * unit
            : throw new TitanException(ExitCode.Usage, $"{option} '{text}': expected a whole number from {least} to {most}");
    }

    /// <summary>Those of the known names that are asked for, comma separated.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/>, listing the known ones.</exception>
    public static TitanException Unknown(string option, string name, IEnumerable<string> known)
    {
        var names = known.ToList();
        return new TitanException(ExitCode.Usage, $"{option} '{name}': not known; known: {string.Join(", ", names)}{Nearest.Hint(name, names)}");
    }
}
