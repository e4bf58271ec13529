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
                var value = ValueConversion.Show(job.Values[key.FullName]);
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

            at[key.Name] = JsonSerializer.SerializeToNode(job.Values[key.FullName], job.Values[key.FullName]?.GetType() ?? typeof(object));
        }

        return root.ToJsonString(Json);
    }
}
