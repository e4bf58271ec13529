using System.Collections;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Titan.Host.Configuration;

/// <summary>Prints a merged job.</summary>
public static class ConfigPrinter
{
    internal static readonly JsonSerializerOptions Json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, WriteIndented = true };

    /// <summary>As TOML, each value with its origin; reads back to the same job.</summary>
    public static string ToToml(LoadedJob job, ConfigSchema schema, bool onlyChanged)
    {
        var text = new StringBuilder();
        foreach (var section in schema.Sections)
        {
            var keys = schema.All.Where(k => k.Section == section && k.FullName != "job.config_file").DistinctBy(k => k.FullName)
                .Where(k => !onlyChanged || job.Origins.ContainsKey(k.FullName)).ToList();
            if (keys.Count == 0) continue;
            text.AppendLine($"[{section}]");
            foreach (var key in keys)
            {
                var value = KeyType.Show(job.Values[key.FullName]);
                text.AppendLine($"{$"{key.Name} = {value}",-60} # {job.Origins.GetValueOrDefault(key.FullName, "default")}");
            }

            text.AppendLine();
        }

        return text.ToString();
    }

    /// <summary>As nested JSON.</summary>
    public static string ToJson(LoadedJob job, ConfigSchema schema)
    {
        var root = new JsonObject();
        foreach (var key in schema.All.DistinctBy(k => k.FullName))
        {
            var at = root;
            foreach (var part in key.Section.Split('.'))
            {
                if (at[part] is not JsonObject next) at[part] = next = [];
                at = next;
            }

            at[key.Name] = Node(job.Values[key.FullName]);
        }

        return root.ToJsonString(Json);
    }

    private static JsonNode? Node(object? value) => value switch
    {
        Enum e => KeyNames.ToSnakeCase(e.ToString()),
        IEnumerable list and not string => new JsonArray([.. list.Cast<object?>().Select(Node)]),
        _ => JsonSerializer.SerializeToNode(value, value?.GetType() ?? typeof(object)),
    };
}
