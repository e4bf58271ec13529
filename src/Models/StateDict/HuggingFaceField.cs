using System.Globalization;
using System.Text.Json.Nodes;

namespace Titan.Models;

/// <summary>A field of Hugging Face's <c>config.json</c>.</summary>
/// <param name="Name">Its name; with dots where it is in an object: <c>rope_scaling.factor</c>, <c>text_config.hidden_size</c>.</param>
/// <param name="Value">What the flavor has there: a number, text, true, false, a list of these, or null.</param>
public sealed record HuggingFaceField(string Name, JsonNode? Value)
{
    /// <summary>Whether a folder with another value is of another model. False for fields that are only written.</summary>
    public bool Matters { get; init; } = true;

    /// <summary>What a file without the field means: transformers' default. Without one, a field that matters must be there unless <see cref="Value"/> is null.</summary>
    public JsonNode? IfAbsent { get; init; }

    /// <summary>A field that transformers want as a floating-point number: 8 is written as 8.0.</summary>
    public static HuggingFaceField Float(string name, double value) => new(name, JsonNode.Parse(value.ToString("0.0##################", CultureInfo.InvariantCulture)));
}
