using System.Text.Json.Nodes;

namespace Titan.Training.Tests.Checkpoints;

/// <summary>JSON with one fault, made from good JSON and a seed: a value of another type or far out of range, a field that is gone, twice there or unknown, a text that is cut.</summary>
internal static class JsonDamage
{
    private const string Mark = "@value@";

    private static readonly string[] Values =
    [
        "null", "true", "-1", "0", "1", "2", "0.5", "1e3", "1e300", "2147483648", "4611686018427387904", "9223372036854775807", "-9223372036854775808", "18446744073709551616",
        "\"\"", "\"x\"", "\"a\\u0000b\"", "\"../x\"", "\"\\ud800\"", "[]", "[0]", "[-1, 5]", "[null]", "[1e99]", "{}", "{\"a\":1}", "[[[[[[[[[[[[1]]]]]]]]]]]]",
    ];

    /// <summary>The text with a fault.</summary>
    public static string Make(string json, int seed)
    {
        var random = new Random(seed);
        var root = JsonNode.Parse(json)!;
        var places = Places(root).ToList();
        var (parent, key) = places[random.Next(places.Count)];
        var value = Values[random.Next(Values.Length)];
        switch (random.Next(8))
        {
            case 0:
                return json[..random.Next(json.Length)];
            case 1:
                var at = random.Next(json.Length);
                return $"{json[..at]}{(char)random.Next(1, 127)}{json[(at + 1)..]}";
            case 2 when parent is JsonObject o:
                o.Remove((string)key);
                break;
            case 3 when parent is JsonObject o:
                // A second one of the same name: no object model makes it.
                o["@name@"] = Mark;
                return root.ToJsonString().Replace("\"@name@\"", $"\"{key}\"", StringComparison.Ordinal).Replace($"\"{Mark}\"", value, StringComparison.Ordinal);
            case 4 when parent is JsonObject o:
                o["unknown"] = 1;
                break;
            default:
                if (parent is JsonObject a) a[(string)key] = Mark;
                else parent[(int)key] = Mark;
                return root.ToJsonString().Replace($"\"{Mark}\"", value, StringComparison.Ordinal);
        }

        return root.ToJsonString();
    }

    private static IEnumerable<(JsonNode Parent, object Key)> Places(JsonNode? node) => node switch
    {
        JsonObject o => o.ToList().SelectMany(p => Places(p.Value).Prepend((o, p.Key))),
        JsonArray a => a.ToList().SelectMany((v, i) => Places(v).Prepend((a, i))),
        _ => [],
    };
}
