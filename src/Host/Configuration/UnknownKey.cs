using Titan.Training.Models;

namespace Titan.Host.Configuration;

/// <summary>The message for a key that does not exist: its new name where it had another, else the nearest known one. It never advises a key that does not exist.</summary>
internal static class UnknownKey
{
    /// <summary>Names that upstream's keys and sections had, and what they are called now.</summary>
    internal static readonly IReadOnlyDictionary<string, string> Renamed = new Dictionary<string, string>(StringComparer.Ordinal)
    {
        ["float8"] = "quantize.linear.float8", ["mx"] = "quantize.linear.mx",
        ["training.compile"] = "compile.enable", ["training.seed"] = "debug.seed", ["training.deterministic"] = "debug.deterministic",
        ["training.batch_size"] = "training.local_batch_size", ["training.warmup_steps"] = "lr_scheduler.warmup_steps", ["training.gc_frequency"] = "training.gc_freq",
        ["training.tensor_parallel_degree"] = "parallelism.tensor_parallel_degree", ["training.data_parallel_degree"] = "parallelism.data_parallel_shard_degree",
        ["training.data_parallel_shard_degree"] = "parallelism.data_parallel_shard_degree", ["training.data_parallel_replicate_degree"] = "parallelism.data_parallel_replicate_degree",
        ["training.disable_loss_parallel"] = "parallelism.disable_loss_parallel", ["experimental"] = "parallelism",
        ["lr_scheduler.lr_min"] = "lr_scheduler.min_lr_factor", ["checkpoint.enable_checkpoint"] = "checkpoint.enable",
        ["checkpoint.initial_load_model_weights_only"] = "checkpoint.initial_load_model_only", ["checkpoint.last_save_model_weights_only"] = "checkpoint.last_save_model_only",
    };

    private static readonly string[] Families = ["quantize.linear.float8", "quantize.linear.mx", "quantize.grouped_mm.float8", "quantize.grouped_mm.mx"];

    private const int Longest = 200;

    public static string Message(string shown, string name, ConfigSchema schema, string origin) => name.Length > Longest
        ? $"{origin}: {shown[..Longest]}...: there is no key of {name.Length} characters"
        : $"{origin}: {shown}: {Reason(name, schema)}";

    private static string Reason(string name, ConfigSchema schema)
    {
        foreach (var (old, now) in Renamed.OrderByDescending(r => r.Key.Length))
        {
            if (name != old && !name.StartsWith(old + ".", StringComparison.Ordinal)) continue;
            var renamed = now + name[old.Length..];
            // A section's name: as it is written in a job file.
            if (schema.Sections.Contains(renamed)) return $"this is called [{renamed}] now";
            if (schema.Find(renamed).Count > 0) return $"this is called {renamed} now";
            if (IsUnserved(renamed, schema)) return $"this is called {renamed} now, and {Unserved(renamed)}";
            // An old key of a section that has a new name, and no such key any more.
            if (schema.Sections.Contains(now) && !schema.Sections.Contains(old)) return $"[{old}] is called [{now}] now, which has no such key{Near(renamed, schema)}; its keys: {Keys(now, schema)}";
        }

        if (IsUnserved(name, schema)) return Unserved(name);
        var section = name.Contains('.') ? name[..name.LastIndexOf('.')] : name;
        return $"there is no {(schema.Sections.Contains(section) ? "such key in" : "section")} [{section}]{Near(name, schema)}";
    }

    private static bool IsUnserved(string name, ConfigSchema schema) => Families.Any(f => (name == f || name.StartsWith(f + ".", StringComparison.Ordinal)) && !schema.Sections.Contains(f));

    private static string Unserved(string name) =>
        $"no loaded plugin serves [{Families.First(f => name == f || name.StartsWith(f + ".", StringComparison.Ordinal))}]; 'titan plugin list' shows what is loaded, --plugins.path adds folders";

    private static string Near(string name, ConfigSchema schema) => Nearest.Hint(name, schema.All.Select(k => k.FullName).Distinct());

    private static string Keys(string section, ConfigSchema schema) => string.Join(", ", schema.All.Where(k => k.Section == section).Select(k => k.Name).Distinct());
}
