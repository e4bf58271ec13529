using System.Text.RegularExpressions;

namespace Titan.Host.Plugins;

/// <summary>A range of contract versions with both ends: at least <paramref name="Least"/>, below <paramref name="Below"/>.</summary>
/// <param name="Least">Included.</param>
/// <param name="Below">Excluded.</param>
public sealed partial record ContractRange(Version Least, Version Below)
{
    /// <summary>Parses <c>>=1.0 &lt;2.0</c>; null when the text is something else.</summary>
    public static ContractRange? Parse(string text)
    {
        var match = Pattern().Match(text);
        return match.Success ? new ContractRange(Version.Parse(match.Groups[1].Value), Version.Parse(match.Groups[2].Value)) : null;
    }

    /// <summary>The versions that a plugin works with which was built against one: none older, and none that may break it. Before 1.0 each minor version may.</summary>
    public static ContractRange Of(Version built) =>
        new(new Version(built.Major, built.Minor), built.Major == 0 ? new Version(0, built.Minor + 1) : new Version(built.Major + 1, 0));

    /// <summary>Whether the version is in the range; only major and minor count.</summary>
    public bool Contains(Version version)
    {
        var v = new Version(version.Major, version.Minor);
        return v >= Least && v < Below;
    }

    /// <inheritdoc />
    public override string ToString() => $">={Least} <{Below}";

    [GeneratedRegex(@"\A>=([0-9]{1,6}\.[0-9]{1,6}) <([0-9]{1,6}\.[0-9]{1,6})\z")]
    private static partial Regex Pattern();
}
