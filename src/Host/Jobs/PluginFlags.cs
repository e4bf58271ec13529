using Titan.Abstractions;
using Titan.Host.Configuration;
using Titan.Host.Plugins;

namespace Titan.Host.Jobs;

/// <summary>
/// The section <c>[plugins]</c>, read before the rest: the other sections exist only once the plugins are loaded. Whatever else is in the job is left to the full reading.
/// </summary>
internal static class PluginFlags
{
    private const string Prefix = "plugins.";

    public static PluginOptions Read(IReadOnlyList<string> args)
    {
        var schema = new ConfigSchema([]);
        var own = new List<string>();
        for (var i = 0; i < args.Count; i++)
        {
            if (!args[i].StartsWith("--" + Prefix, StringComparison.Ordinal)) continue;
            own.Add(args[i]);
            if (!args[i].Contains('=') && i + 1 < args.Count) own.Add(args[++i]);
        }

        var values = new Dictionary<string, IReadOnlyList<string>>();
        if (CommandLineSource.ConfigFile(args) is { } file && File.Exists(file))
        {
            foreach (var entry in TomlSource.Read(file))
                if (entry.FullName.StartsWith(Prefix, StringComparison.Ordinal)) Set(entry);
        }

        var problems = new JobProblems();
        foreach (var entry in CommandLineSource.Read(own, schema, problems)) Set(entry);
        problems.ThrowIfAny();
        return new PluginOptions(values.GetValueOrDefault("plugins.path", []), values.GetValueOrDefault("plugins.disable", []), values.GetValueOrDefault("plugins.allow", []));

        void Set(ConfigEntry entry)
        {
            if (schema.Find(entry.FullName) is [var key] && entry.TryRead(key.Type, out var value) && value is IReadOnlyList<string> list) values[entry.FullName] = list;
        }
    }
}
