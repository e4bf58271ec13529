using System.Text.RegularExpressions;

namespace Titan.Host.Plugins;

/// <summary>How plugins and what they export may be called. Names end where they end: no newline after them.</summary>
internal static partial class PluginNames
{
    /// <summary>Whether the id of a plugin: lower-case letters, digits, dots and dashes.</summary>
    public static bool IsId(string text) => Id().IsMatch(text);

    /// <summary>Whether the name of a converter: parts with dots between them.</summary>
    public static bool IsConverter(string text) => text.Split('.').All(IsPart);

    /// <summary>Whether family and name of a recipe.</summary>
    public static bool IsRecipe(string text) => text.Split('/') is [var family, var name] && IsPart(family) && IsPart(name);

    /// <summary>Whether one part of a name, or the key of an option.</summary>
    public static bool IsPart(string text) => Part().IsMatch(text);

    [GeneratedRegex(@"\A[a-z0-9][a-z0-9.-]{0,99}\z")]
    private static partial Regex Id();

    [GeneratedRegex(@"\A[a-z][a-z0-9_]{0,99}\z")]
    private static partial Regex Part();
}
