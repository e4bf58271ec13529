using McMaster.NETCore.Plugins;
using Titan.Abstractions;

namespace Titan.Host.Plugins;

/// <summary>Which plugins may load, and from where.</summary>
/// <param name="Path">More folders.</param>
/// <param name="Disable">Ids not to load.</param>
/// <param name="Allow">When not empty: load only these.</param>
public sealed record PluginOptions(IReadOnlyList<string> Path, IReadOnlyList<string> Disable, IReadOnlyList<string> Allow)
{
    /// <summary>How long a plugin may take to load.</summary>
    public TimeSpan LoadLimit { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>The contract that plugins must fit.</summary>
    public Version Contract { get; init; } = PluginCatalog.Contract;

    /// <summary>Everything that is found.</summary>
    public static PluginOptions Default { get; } = new([], [], []);
}

/// <summary>All plugins that were found, and what the loaded ones add.</summary>
public sealed class PluginCatalog : IDisposable
{
    private readonly List<PluginLoader> loaders = [];
    private readonly List<Exported> exports = [];
    private readonly HashSet<string> tried = [];
    private readonly TimeSpan limit;

    private PluginCatalog(IReadOnlyList<PluginRecord> records, TimeSpan limit) => (Records, this.limit) = (records, limit);

    /// <summary>The host's version of the contract.</summary>
    public static Version Contract { get; } = typeof(IQuantizationRecipe).Assembly.GetName().Version!;

    /// <summary>Every folder that was found, with its outcome.</summary>
    public IReadOnlyList<PluginRecord> Records { get; private set; }

    /// <summary>What the loaded plugins export of one kind.</summary>
    /// <typeparam name="TPart">The kind's interface.</typeparam>
    /// <typeparam name="TMetadata">Its metadata.</typeparam>
    public IReadOnlyList<Exported<TPart, TMetadata>> Exports<TPart, TMetadata>() where TPart : class => [.. exports.OfType<Exported<TPart, TMetadata>>()];

    /// <summary>One export of a loaded plugin.</summary>
    /// <param name="plugin">The plugin.</param>
    /// <param name="export">The export, of the kind of these types.</param>
    public Exported<TPart, TMetadata> Export<TPart, TMetadata>(PluginRecord plugin, PluginExport export) where TPart : class =>
        exports.OfType<Exported<TPart, TMetadata>>().Single(e => e.PluginId == plugin.Id && e.Title == export.Title);

    /// <summary>Adds what a plugin exports.</summary>
    internal void Add(Exported export) => exports.Add(export.Checked());

    /// <summary>Finds and checks plugins without running any of their code.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Plugin"/> when a given folder does not exist or a named id is unknown.</exception>
    public static PluginCatalog Inspect(PluginOptions options)
    {
        var folders = PluginFolders.Find(options.Path, out var missing);
        if (missing.Count > 0) throw new TitanException(ExitCode.Plugin, $"plugin folder '{missing[0]}' does not exist; correct plugins.path or {Titan.Kernels.ProgramVariables.PluginPath.Name}");
        var records = folders.Select(f => PluginInspection.Inspect(f, options.Contract)).ToList();
        Chosen(records, options);
        NewestOnly(records);
        NoSharedNames(records);
        return new PluginCatalog(records, options.LoadLimit);
    }

    /// <summary>The same, and loads all plugins that passed.</summary>
    public static PluginCatalog Load(PluginOptions options)
    {
        var catalog = Inspect(options);
        catalog.Load(catalog.Records);
        return catalog;
    }

    /// <summary>Loads those of the given plugins that are active and not loaded yet. One that fails gets another status; <see cref="Now"/> tells.</summary>
    public void Load(IEnumerable<PluginRecord> plugins)
    {
        foreach (var plugin in plugins.ToList())
        {
            if (Now(plugin) is not { Status: PluginStatus.Active } record || !tried.Add(record.Folder)) continue;
            PluginFault.Loading = record.Id;
            var loaded = LoadOne(record);
            PluginFault.Loading = null;
            Records = [.. Records.Select(r => r.Folder == record.Folder ? loaded : r)];
        }
    }

    /// <summary>What has become of a plugin since its record was made.</summary>
    public PluginRecord Now(PluginRecord plugin) => Records.First(r => r.Folder == plugin.Folder);

    /// <summary>
    /// Lets go of the plugins. Their code leaves memory once nothing refers to it, which no program can force: a thread, a cache or a live tensor of a plugin's keeps it.
    /// </summary>
    public void Dispose()
    {
        exports.Clear();
        foreach (var loader in loaders) loader.Dispose();
        loaders.Clear();
    }

    private PluginRecord LoadOne(PluginRecord record)
    {
        var (loaded, parts) = PluginComposition.Load(record, limit);
        if (parts is null) return loaded;
        loaders.Add(parts.Loader);
        foreach (var export in parts.Exports) Add(export);
        return loaded;
    }

    private static void Chosen(List<PluginRecord> records, PluginOptions options)
    {
        foreach (var id in options.Disable.Concat(options.Allow))
            if (records.All(r => r.Id != id)) throw new TitanException(ExitCode.Plugin, $"no plugin has the id '{id}'; found: {string.Join(", ", records.Select(r => r.Id))}");
        for (var i = 0; i < records.Count; i++)
        {
            if (records[i].Status != PluginStatus.Active) continue;
            if (options.Disable.Contains(records[i].Id)) records[i] = records[i].As(PluginStatus.Disabled, "plugins.disable names it", "remove it from plugins.disable");
            else if (options.Allow.Count > 0 && !options.Allow.Contains(records[i].Id)) records[i] = records[i].As(PluginStatus.Untrusted, "plugins.allow does not name it", "add it to plugins.allow");
        }
    }

    private static void NewestOnly(List<PluginRecord> records)
    {
        for (var i = 0; i < records.Count; i++)
        {
            if (records[i].Status != PluginStatus.Active) continue;
            // The same version twice: the folder that was found first.
            var newer = records.Where((r, k) => k != i && r.Status == PluginStatus.Active && r.Id == records[i].Id && Parsed(r).CompareTo(Parsed(records[i])) is var order && (order > 0 || order == 0 && k < i)).FirstOrDefault();
            if (newer is not null) records[i] = records[i].As(PluginStatus.Superseded, $"version {newer.Version} is in {newer.Folder}", "remove the folder that is not wanted");
        }

        static PluginVersion Parsed(PluginRecord record) => PluginVersion.Parse(record.Version)!;
    }

    private static void NoSharedNames(List<PluginRecord> records)
    {
        var claims = records.Where(r => r.Status == PluginStatus.Active).SelectMany(r => r.Exports.Select(e => (Name: e.Title, Record: r)))
            .GroupBy(c => c.Name).Where(g => g.Count() > 1).ToList();
        foreach (var claim in claims)
        {
            foreach (var (name, record) in claim)
            {
                var others = claim.Where(c => c.Record != record).Select(c => c.Record.Id).Distinct().ToList();
                var index = records.FindIndex(r => r.Folder == record.Folder);
                records[index] = others.Count == 0
                    ? records[index].As(PluginStatus.Malfunctioned, $"exports {name} twice", "report it to its author")
                    : records[index].As(PluginStatus.Disabled, $"{name} is also exported by {string.Join(", ", others)}", $"choose one: --plugins.disable {others[0]}");
            }
        }
    }
}
