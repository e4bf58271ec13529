using Titan.Abstractions;
using Titan.Training.Configuration;

namespace Titan.Training.Loop;

/// <summary>
/// What made a checkpoint, as its metadata say it: <c>plugin ID</c> with version and hash, and by their full names <c>model.name</c>, <c>model.flavor</c>,
/// <c>model.converters</c> and the converters' options. Who goes on with it hears what is different.
/// </summary>
internal static class CheckpointOrigin
{
    /// <summary>The keys of the model.</summary>
    public const string Name = "model.name", Flavor = "model.flavor";

    private const string Plugin = "plugin ";

    /// <summary>The metadata that a run saves.</summary>
    /// <param name="config">The job.</param>
    /// <param name="given">Its plugins, and the options of its converters.</param>
    public static IReadOnlyDictionary<string, string> Of(JobConfig config, IReadOnlyDictionary<string, string> given) =>
        new SortedDictionary<string, string>(given.ToDictionary(), StringComparer.Ordinal) { [Name] = config.Model.Name, [Flavor] = config.Model.Flavor, ["model.converters"] = config.Model.Converters.Count > 0 ? string.Join(", ", config.Model.Converters) : "none" };

    /// <summary>Compares a checkpoint's metadata with those of the run that loads it.</summary>
    /// <param name="folder">The checkpoint.</param>
    /// <param name="saved">Its metadata; of earlier versions, of the plugins alone.</param>
    /// <param name="own">The run's.</param>
    /// <param name="weightsAlone">Whether the run takes only weights from it: then another flavor will do, where their shapes fit.</param>
    /// <param name="warn">Receives a warning for each difference.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when the run would go on with another model.</exception>
    public static void Compare(string folder, IReadOnlyDictionary<string, string> saved, IReadOnlyDictionary<string, string> own, bool weightsAlone, Action<string> warn)
    {
        if (saved.TryGetValue(Name, out var name) && saved.TryGetValue(Flavor, out var flavor) && (name, flavor) != (own[Name], own[Flavor]))
        {
            var difference = $"checkpoint '{folder}' is of model {name}/{flavor}, this run trains {own[Name]}/{own[Flavor]}";
            if (!weightsAlone)
                throw new TitanException(ExitCode.Data,
                    $"{difference}: use the model.flavor that it was saved with, or start from its weights with checkpoint.initial_load_path in a new job.dump_folder");
            warn($"{difference}: its weights have the same shapes and are used");
        }

        foreach (var key in saved.Keys.Union(own.Keys).Order(StringComparer.Ordinal).Where(k => k is not (Name or Flavor or Adapters.StoredAdapters.Key)))
        {
            var (then, now) = (saved.GetValueOrDefault(key), own.GetValueOrDefault(key));
            if (then == now) continue;
            if (then is null) continue;     // a plugin or an option that there was not is no loss: a converter that came with it is one of model.converters
            if (key.StartsWith(Plugin, StringComparison.Ordinal)) warn($"the checkpoint was saved with {key} {then}, this run has {now ?? "no such plugin"}");
            else if (now is not null) warn($"the checkpoint was saved with {key} = {then}, this run has {now}");
        }
    }
}
