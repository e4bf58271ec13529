using System.Text.Json.Nodes;

namespace Titan.Models;

/// <summary>A flavor's <c>config.json</c> as data: written as it is, and compared field by field with that of a folder that is to be loaded.</summary>
/// <param name="Fields">In the order in which they are written; <c>architectures</c> and <c>model_type</c> among them.</param>
public sealed record HuggingFaceConfig(IReadOnlyList<HuggingFaceField> Fields)
{
    private const string Type = "model_type";

    /// <summary>The architecture's name in transformers: <c>model_type</c>.</summary>
    public string ModelType => Fields.FirstOrDefault(f => f.Name == Type)?.Value?.GetValue<string>() ?? throw new InvalidOperationException($"the fields lack {Type}");

    /// <summary>The file's contents.</summary>
    public JsonObject ToJson()
    {
        var root = new JsonObject();
        foreach (var field in Fields)
        {
            var path = field.Name.Split('.');
            var place = root;
            foreach (var name in path[..^1])
            {
                if (place[name] is null) place[name] = new JsonObject();
                place = place[name]!.AsObject();
            }

            place[path[^1]] = field.Value?.DeepClone();
        }

        return root;
    }

    /// <summary>The fields in which a folder's file describes another model.</summary>
    /// <param name="theirs">The file. What it has besides <see cref="Fields"/> is passed over.</param>
    /// <returns>Each field with both values; <c>model_type</c> alone where that differs, since then all others do.</returns>
    public IReadOnlyList<string> Differences(JsonObject theirs)
    {
        var given = Modern(theirs);
        if (Compare(Fields.First(f => f.Name == Type), given) is { } architecture) return [architecture];
        return [.. Fields.Where(f => f.Matters).Select(f => Compare(f, given)).OfType<string>()];
    }

    private static string? Compare(HuggingFaceField field, JsonObject given)
    {
        var theirs = Find(given, Renamed(field.Name));
        if (IsSame(field.Value, theirs ?? field.IfAbsent)) return null;
        var told = theirs is not null ? Show(theirs) : field.IfAbsent is null ? "missing" : $"missing, which means {Show(field.IfAbsent)}";
        return $"{field.Name} is {told}, expected {Show(field.Value)}";
    }

    private static JsonNode? Find(JsonObject root, string name)
    {
        JsonNode? node = root;
        foreach (var part in name.Split('.')) node = node is JsonObject o && o.TryGetPropertyValue(part, out var next) ? next : null;
        return node;
    }

    private static bool IsSame(JsonNode? a, JsonNode? b)
    {
        if (a is null || b is null) return a is null && b is null;
        if (a is JsonArray x && b is JsonArray y) return x.Count == y.Count && x.Zip(y).All(p => IsSame(p.First, p.Second));
        return IsNumber(a, out var left) && IsNumber(b, out var right) ? Math.Abs(left - right) <= 1e-9 * Math.Abs(left) : JsonNode.DeepEquals(a, b);
    }

    private static bool IsNumber(JsonNode node, out double number)
    {
        number = 0;
        return node.GetValueKind() == System.Text.Json.JsonValueKind.Number && double.TryParse(node.ToJsonString(), System.Globalization.CultureInfo.InvariantCulture, out number);
    }

    private static string Show(JsonNode? node) => node?.ToJsonString() ?? "null";

    /// <summary>Earlier and later spellings of the rotary embedding become one: <c>rope_theta</c>, and <c>rope_scaling</c> with <c>rope_type</c>, or null for none.</summary>
    private static JsonObject Modern(JsonObject given)
    {
        var config = given.DeepClone().AsObject();
        foreach (var inner in config.Select(p => p.Key).ToList())
            if (inner.EndsWith("_config", StringComparison.Ordinal) && config[inner] is JsonObject nested) config[inner] = Modern(nested);

        // transformers 5 has both in one object.
        if (config["rope_parameters"] is JsonObject rope)
        {
            config.Remove("rope_parameters");
            if (rope["rope_theta"] is { } theta)
            {
                rope.Remove("rope_theta");
                config["rope_theta"] = theta;
            }

            config["rope_scaling"] = rope;
        }

        if (config["rope_scaling"] is JsonObject scaling)
        {
            if (scaling["rope_type"] is null && scaling["type"] is { } type) scaling["rope_type"] = type.DeepClone();
            if (scaling["rope_type"] is JsonValue value && value.TryGetValue<string>(out var name) && name == "default") config["rope_scaling"] = null;
        }

        return config;
    }

    private static string Renamed(string name) => name.EndsWith("rope_scaling.type", StringComparison.Ordinal) ? name[..^"type".Length] + "rope_type" : name;
}
