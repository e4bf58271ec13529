using System.ComponentModel.DataAnnotations;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Titan.Host.Configuration;

/// <summary>One option of an export, a key of its config section, as the manifest has it: what a job may set is known before any code of the plugin runs.</summary>
/// <param name="Key">In lower case with underscores.</param>
/// <param name="Type">One of <see cref="Configuration.KeyType.ManifestNames"/>.</param>
/// <param name="Default">Its default; null for none.</param>
/// <param name="Description">One line.</param>
public sealed record PluginOption(string Key, string Type, JsonElement Default, string Description)
{
    /// <summary>Whether <c>None</c> is a value.</summary>
    public bool Optional { get; init; }

    /// <summary>The values that it may take, as a flag has them; empty for any.</summary>
    public IReadOnlyList<string> Choices { get; init; } = [];

    /// <summary>Values that it may not take, as a flag has them.</summary>
    public IReadOnlyList<string> Denied { get; init; } = [];

    /// <summary>The least value of a number; null for any.</summary>
    public double? Minimum { get; init; }

    /// <summary>The largest value of a number; null for any.</summary>
    public double? Maximum { get; init; }

    /// <summary>Whether it must be more than <see cref="Minimum"/>.</summary>
    public bool MinimumIsExclusive { get; init; }

    /// <summary>Whether it must be less than <see cref="Maximum"/>.</summary>
    public bool MaximumIsExclusive { get; init; }

    /// <summary>What its value may be; null where <see cref="Type"/> is no type.</summary>
    [JsonIgnore]
    public KeyType? KeyType => KeyType.Parse(Type, Optional, Choices);

    /// <summary>Its rules, as a key has them.</summary>
    [JsonIgnore]
    public IReadOnlyList<Attribute> Rules
    {
        get
        {
            var rules = new List<Attribute>();
            if (Choices.Count > 0 && KeyType!.Names.Count == 0) rules.Add(new AllowedValuesAttribute([.. Choices.Select(KeyType.OneFromText)]));
            if (Denied.Count > 0) rules.Add(new DeniedValuesAttribute([.. Denied.Select(KeyType!.OneFromText)]));
            if (Minimum is not null || Maximum is not null)
            {
                rules.Add(new RangeAttribute(Minimum ?? double.NegativeInfinity, Maximum ?? double.PositiveInfinity)
                {
                    MinimumIsExclusive = MinimumIsExclusive, MaximumIsExclusive = MaximumIsExclusive,
                });
            }

            return rules;
        }
    }

    /// <summary>What is wrong with it; null for nothing.</summary>
    public string? Fault()
    {
        if (!KeyNames.IsPart(Key)) return $"its name '{Key}' is not made of lower-case letters, digits and underscores";
        if (KeyType is not { } type) return $"its type '{Type}' is not one of: {string.Join(", ", KeyType.ManifestNames)}; an enum has choices";
        if (!type.TryFromJson(Default, out _)) return $"its default {Default.GetRawText()} is not of its type {Type}";
        if (Choices.Concat(Denied).FirstOrDefault(c => type.OneFromText(c) is null) is { } other) return $"its choice '{other}' is not of its type {Type}";
        return (Minimum is not null || Maximum is not null) && !type.IsNumber ? $"it has a range, and its type is {Type}" : null;
    }

    /// <summary>Whether two say the same, in every part.</summary>
    public static bool Same(PluginOption one, PluginOption other) =>
        JsonSerializer.Serialize(one) == JsonSerializer.Serialize(other);
}
