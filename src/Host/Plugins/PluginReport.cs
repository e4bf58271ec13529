using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Titan.Abstractions;

namespace Titan.Host.Plugins;

/// <summary>The output of <c>titan plugin</c>.</summary>
public static class PluginReport
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web)
    {
        WriteIndented = true, Converters = { new JsonStringEnumConverter() }, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>One line per plugin.</summary>
    public static string Table(IReadOnlyList<PluginRecord> records)
    {
        if (records.Count == 0) return "no plugins found; --plugins.path names a folder of them\n";
        int id = records.Max(r => r.Id.Length), version = records.Max(r => r.Version.Length), status = records.Max(r => r.Status.ToString().Length);
        var text = new StringBuilder();
        foreach (var r in records)
        {
            var what = r.Status == PluginStatus.Active ? string.Join(", ", r.Exports.Select(Name)) : $"{r.Reason}; {r.NextStep}";
            text.AppendLine($"{r.Id.PadRight(id)}  {r.Version.PadRight(version)}  {r.Status.ToString().PadRight(status)}  {what}");
        }

        return text.ToString();
    }

    /// <summary>Which axes of the mesh the active plugins serve, on one line.</summary>
    public static string Axes(IReadOnlyList<PluginRecord> records)
    {
        var exported = records.Where(r => r.Status == PluginStatus.Active).SelectMany(r => r.Exports)
            .Where(e => e.Kind == "parallelism").Select(e => e.Name).ToHashSet();
        var axes = MeshAxes.All.Select(a => a.Name()).ToLookup(exported.Contains);
        var unserved = axes[false].Any() ? $"; {string.Join(", ", axes[false])} not" : "";
        return $"mesh axes: {string.Join(", ", axes[true].DefaultIfEmpty("none"))} served{unserved}\n";
    }

    /// <summary>Everything about one plugin.</summary>
    public static string Details(PluginRecord record)
    {
        var text = new StringBuilder();
        text.AppendLine($"id        {record.Id}\nversion   {record.Version}\nstatus    {record.Status}");
        if (record.Status != PluginStatus.Active) text.AppendLine($"reason    {record.Reason}\nnext step {record.NextStep}");
        text.AppendLine($"folder    {record.Folder}\ncontract  {record.Manifest?.Contract ?? "?"}\nsha256    {record.Hash}");
        foreach (var export in record.Exports)
        {
            text.AppendLine($"{export.Kind,-9} {Name(export)}  {export.Summary}");
            if (export.Flavors.Count > 0) text.AppendLine($"  flavors {string.Join(", ", export.Flavors)}");
            foreach (var option in export.Options) text.AppendLine($"  option  {option.Key} = {option.Default.GetRawText()}  {option.Description}");
        }

        foreach (var file in record.Manifest?.Files ?? []) text.AppendLine($"file      {file.Path}  {file.Sha256}");
        return text.ToString();
    }

    /// <summary>For scripts.</summary>
    public static string ToJson(object value) => JsonSerializer.Serialize(value, Json);

    private static string Name(PluginExport export)
    {
        // A family may have a recipe of one name for linear layers and for experts.
        var name = export.Is(ExportKinds.GroupedRecipe) ? $"{export.Name} for experts" : export.Name;
        return export.Status == "stable" ? name : $"{name} ({export.Status})";
    }
}
