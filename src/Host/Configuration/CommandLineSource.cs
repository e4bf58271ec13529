using Titan.Abstractions;
using Titan.Training.Models;

namespace Titan.Host.Configuration;

/// <summary>Reads dotted flags: <c>--section.key value</c>, <c>--section.key=value</c>, <c>--section.flag</c>, <c>--section.no-flag</c>; <c>_</c> and <c>-</c> are alike.</summary>
public static class CommandLineSource
{
    /// <summary>Where a flag comes from, in messages.</summary>
    internal const string Origin = "command line";

    /// <summary>Reads the arguments; problems are added to <paramref name="errors"/>.</summary>
    public static IReadOnlyList<ConfigEntry> Read(IReadOnlyList<string> args, ConfigSchema schema, List<string> errors)
    {
        var entries = new List<ConfigEntry>();
        for (var i = 0; i < args.Count; i++)
        {
            var arg = args[i];
            if (!arg.StartsWith("--", StringComparison.Ordinal))
            {
                errors.Add($"'{arg}': expected a flag such as --training.steps 100");
                continue;
            }

            var equals = arg.IndexOf('=');
            var name = (equals < 0 ? arg[2..] : arg[2..equals]).Replace('-', '_');
            var inline = equals < 0 ? null : arg[(equals + 1)..];
            var key = schema.Find(name).FirstOrDefault();
            var negated = false;
            if (key is null && Negated(name) is { } positive && schema.Find(positive).FirstOrDefault() is { } flag && flag.Type == typeof(bool))
                (key, negated) = (flag, true);
            if (key is null)
            {
                errors.Add(UnknownKey.Message($"--{name}", name, schema, Origin));
                if (inline is null && i + 1 < args.Count && !args[i + 1].StartsWith("--", StringComparison.Ordinal)) i++;
                continue;
            }

            if (key.Type == typeof(bool))
            {
                var next = inline ?? (i + 1 < args.Count && IsBooleanWord(args[i + 1]) ? args[i + 1] : null);
                if (next is not null)
                {
                    if (inline is null) i++;
                    errors.Add($"--{name} takes no value, got '{next}'; write --{key.FullName} for true, --{key.Section}.no-{key.Name} for false");
                    continue;
                }

                entries.Add(new ConfigEntry(key.FullName, !negated, Origin));
                continue;
            }

            if (inline is null)
            {
                if (i + 1 >= args.Count || (args[i + 1].StartsWith("--", StringComparison.Ordinal)))
                {
                    errors.Add($"--{key.FullName} needs a value: {key.TypeName}");
                    continue;
                }

                inline = args[++i];
            }

            entries.Add(new ConfigEntry(key.FullName, inline, Origin, IsText: true));
        }

        return Joined(entries);
    }

    /// <summary>A list of <c>[plugins]</c> that is given in several flags is all of them together: a folder that is given is not to be dropped.</summary>
    private static List<ConfigEntry> Joined(List<ConfigEntry> entries)
    {
        var joined = new List<ConfigEntry>();
        foreach (var entry in entries)
        {
            var before = entry.FullName.StartsWith("plugins.", StringComparison.Ordinal) ? joined.FindIndex(e => e.FullName == entry.FullName) : -1;
            if (before < 0 || entry.Value is not string { Length: > 0 } more || joined[before].Value is not string { Length: > 0 } first) joined.Add(entry);
            else joined[before] = entry with { Value = $"{first},{more}" };
        }

        return joined;
    }

    /// <summary>The job file that the arguments name, without reading anything else; the first wins.</summary>
    public static string? ConfigFile(IReadOnlyList<string> args)
    {
        for (var i = 0; i < args.Count; i++)
        {
            var arg = args[i].Replace("config-file", "config_file", StringComparison.Ordinal);
            if (arg.StartsWith("--job.config_file=", StringComparison.Ordinal)) return args[i]["--job.config_file=".Length..];
            if (arg == "--job.config_file" && i + 1 < args.Count) return args[i + 1];
        }

        return null;
    }

    private static bool IsBooleanWord(string text) => bool.TryParse(text, out _);

    private static string? Negated(string name)
    {
        var dot = name.LastIndexOf('.');
        return dot > 0 && name.AsSpan(dot + 1).StartsWith("no_") ? name[..(dot + 1)] + name[(dot + 4)..] : null;
    }
}

/// <summary>The message for a key that does not exist.</summary>
internal static class UnknownKey
{
    private static readonly Dictionary<string, string> Renamed = new()
    {
        ["float8"] = "quantize.linear.float8", ["mx"] = "quantize.linear.mx", ["training.compile"] = "compile.enable",
        ["training.seed"] = "debug.seed", ["training.deterministic"] = "debug.deterministic",
    };

    private static readonly string[] Families = ["quantize.linear.float8", "quantize.linear.mx", "quantize.grouped_mm.float8", "quantize.grouped_mm.mx"];

    public static string Message(string shown, string name, ConfigSchema schema, string origin)
    {
        foreach (var (old, now) in Renamed)
            if (name == old || name.StartsWith(old + ".", StringComparison.Ordinal))
                return $"{origin}: {shown}: this is called {now}{name[old.Length..]} now";
        foreach (var family in Families)
            if (name.StartsWith(family + ".", StringComparison.Ordinal) && !schema.Sections.Contains(family))
                return $"{origin}: {shown}: no loaded plugin serves [{family}]; 'titan plugin list' shows what is loaded, --plugins.path adds folders";
        var known = schema.All.Select(k => k.FullName).Distinct().ToList();
        var section = name.Contains('.') ? name[..name.LastIndexOf('.')] : name;
        if (!schema.Sections.Contains(section))
            return $"{origin}: {shown}: there is no section [{section}]{Nearest.Hint(name, known)}";
        return $"{origin}: {shown}: there is no such key in [{section}]{Nearest.Hint(name, known)}";
    }
}
