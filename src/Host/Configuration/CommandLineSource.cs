namespace Titan.Host.Configuration;

/// <summary>
/// Reads dotted flags: <c>--section.key value</c>, <c>--section.key=value</c>, <c>--section.flag</c>, <c>--section.no-flag</c>; <c>_</c> and <c>-</c> are alike. A list that is
/// given again goes on; any other value may be repeated, but not changed.
/// </summary>
public static class CommandLineSource
{
    /// <summary>Where a flag comes from, in messages.</summary>
    internal const string Origin = "command line";

    private const string ConfigFileKey = "job.config_file";

    /// <summary>Reads the arguments; problems are added to <paramref name="problems"/>.</summary>
    public static IReadOnlyList<ConfigEntry> Read(IReadOnlyList<string> args, ConfigSchema schema, JobProblems problems)
    {
        var entries = new Dictionary<string, ConfigEntry>(StringComparer.Ordinal);
        for (var i = 0; i < args.Count; i++)
        {
            if (!args[i].StartsWith("--", StringComparison.Ordinal))
            {
                problems.Add($"'{args[i]}': expected a flag such as --training.steps 100");
                continue;
            }

            var (name, inline) = Split(args[i]);
            var next = i + 1 < args.Count && !args[i + 1].StartsWith("--", StringComparison.Ordinal) ? args[i + 1] : null;
            var key = schema.Find(name).FirstOrDefault();
            var negated = false;
            if (key is null && Negated(name) is { } positive && schema.Find(positive).FirstOrDefault() is { IsSwitch: true } flag) (key, negated) = (flag, true);
            if (key is null)
            {
                problems.Add(UnknownKey.Message($"--{name}", name, schema, Origin));
                if (inline is null && next is not null) i++;
                continue;
            }

            if (key.IsSwitch)
            {
                var value = inline ?? (bool.TryParse(next, out _) ? next : null);
                if (value is null) Add(new ConfigEntry(key.FullName, !negated, Origin));
                else problems.Add($"{Origin}: --{name} takes no value, got '{value}'; write --{key.FullName} for true, --{key.Section}.no-{key.Name} for false");
                if (value is not null && inline is null) i++;
                continue;
            }

            if (inline is null && next is null)
            {
                problems.Add($"{Origin}: --{key.FullName} needs a value: {key.Type.Name}");
                continue;
            }

            if (inline is null) i++;
            Add(new ConfigEntry(key.FullName, inline ?? next!, Origin, IsText: true), key.Type.IsList);
        }

        return [.. entries.Values];

        void Add(ConfigEntry entry, bool isList = false)
        {
            if (!entries.TryGetValue(entry.FullName, out var before) || before.Value.Equals(entry.Value)) entries[entry.FullName] = entry;
            else if (isList) entries[entry.FullName] = entry with { Value = string.Join(',', new[] { (string)before.Value, (string)entry.Value }.Where(v => v.Length > 0)) };
            else problems.Add($"{Origin}: {entry.FullName} is given twice, {KeyType.ShowShort(before.Value)} and {KeyType.ShowShort(entry.Value)}; keep one{(entry.FullName == ConfigFileKey ? " (run_train.sh gives the environment variable CONFIG_FILE)" : "")}");
        }
    }

    /// <summary>The job file that the arguments name, without reading anything else. Where they name two, <see cref="Read"/> says so.</summary>
    public static string? ConfigFile(IReadOnlyList<string> args)
    {
        for (var i = 0; i < args.Count; i++)
        {
            if (!args[i].StartsWith("--", StringComparison.Ordinal) || Split(args[i]) is not (ConfigFileKey, var inline)) continue;
            if (inline is not null) return inline;
            if (i + 1 < args.Count && !args[i + 1].StartsWith("--", StringComparison.Ordinal)) return args[i + 1];
        }

        return null;
    }

    private static (string Name, string? Value) Split(string flag)
    {
        var equals = flag.IndexOf('=');
        return ((equals < 0 ? flag[2..] : flag[2..equals]).Replace('-', '_'), equals < 0 ? null : flag[(equals + 1)..]);
    }

    private static string? Negated(string name)
    {
        var dot = name.LastIndexOf('.');
        return dot > 0 && name.AsSpan(dot + 1).StartsWith("no_") ? name[..(dot + 1)] + name[(dot + 4)..] : null;
    }
}
