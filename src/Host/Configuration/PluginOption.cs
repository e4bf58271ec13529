using System.Text.Json;

namespace Titan.Host.Configuration;

/// <summary>One option of an export, a key of its config section, as the manifest has it: what a job may set is known before any code of the plugin runs.</summary>
/// <param name="Key">In lower case with underscores.</param>
/// <param name="Type">One of <see cref="OptionType"/>'s names.</param>
/// <param name="Default">Its default; null for none.</param>
/// <param name="Description">One line.</param>
public sealed record PluginOption(string Key, string Type, JsonElement Default, string Description)
{
    /// <summary>Whether <c>None</c> is a value.</summary>
    public bool Optional { get; init; }

    /// <summary>The values that it may take; empty for any.</summary>
    public IReadOnlyList<string> Choices { get; init; } = [];

    /// <summary>The least value of a number; null for any.</summary>
    public double? Minimum { get; init; }

    /// <summary>The largest value of a number; null for any.</summary>
    public double? Maximum { get; init; }

    /// <summary>What is wrong with it; null for nothing.</summary>
    public string? Fault()
    {
        if (!KeyNames.IsPart(Key)) return $"its name '{Key}' is not made of lower-case letters, digits and underscores";
        if (OptionType.Parse(Type) is not { } type) return $"its type '{Type}' is not one of: {string.Join(", ", OptionType.Names)}";
        if (!OptionType.Fits(Default, type, Optional)) return $"its default {Default.GetRawText()} is not of its type {Type}";
        return null;
    }

    /// <summary>Whether two say the same, in every part.</summary>
    public static bool Same(PluginOption one, PluginOption other) =>
        JsonSerializer.Serialize(one) == JsonSerializer.Serialize(other);
}
