using System.Text.RegularExpressions;
using Titan.Host.Configuration;

namespace Titan.Host.Plugins;

/// <summary>How plugins and what they export may be called. Names end where they end: no newline after them.</summary>
internal static partial class PluginNames
{
    /// <summary>Whether the id of a plugin: lower-case letters, digits, dots and dashes.</summary>
    public static bool IsId(string text) => Id().IsMatch(text);

    /// <summary>Whether the name of a converter: parts with dots between them.</summary>
    public static bool IsConverter(string text) => text.Split('.').All(KeyNames.IsPart);

    /// <summary>Whether family and name of a recipe.</summary>
    public static bool IsRecipe(string text) => text.Split('/') is [var family, var name] && KeyNames.IsPart(family) && KeyNames.IsPart(name);

    [GeneratedRegex(@"\A[a-z0-9][a-z0-9.-]{0,99}\z")]
    private static partial Regex Id();
}
