using System.Composition;
using System.Composition.Hosting;
using System.Reflection;
using McMaster.NETCore.Plugins;
using Titan.Abstractions;
using Titan.Host.Configuration;
using Titan.Models;

namespace Titan.Host.Plugins;

/// <summary>Loads one plugin into a context of its own and constructs its parts, in a container of its own, so that a bad plugin takes no other with it.</summary>
internal static class PluginComposition
{
    private static readonly Type[] Shared = [typeof(IQuantizationRecipe), typeof(IModelFamily), typeof(TorchSharp.torch.Tensor), typeof(ExportAttribute)];

    /// <summary>Loads a plugin that passed inspection.</summary>
    /// <param name="record">The plugin.</param>
    /// <param name="limit">A plugin that takes longer is given up: a static constructor may wait forever.</param>
    public static (PluginRecord Record, Parts? Parts) Load(PluginRecord record, TimeSpan limit)
    {
        Parts? parts;
        var disable = $"disable it: --plugins.disable {record.Id}";
        try
        {
            if (!PluginCall.TryRun($"load {record.Id}", limit, () => Compose(record), out parts))
                return (record.As(PluginStatus.Malfunctioned, $"did not finish loading within {limit.TotalSeconds} s", $"look at its static constructors and module initialisers, or {disable}"), null);
        }
        catch (Exception e)
        {
            return (record.As(PluginStatus.Malfunctioned, $"fails while it loads: {Cause(e)}", Remedy(e) ?? $"report it to its author, or {disable}"), null);
        }

        // Both ways: what is not declared could claim a name that no check has seen.
        var declared = record.Exports.Select(e => e.Title).ToList();
        var found = parts!.Exports.Select(e => e.Title).ToList();
        if (declared.Except(found).FirstOrDefault() is { } absent)
            return (record.As(PluginStatus.Malfunctioned, $"does not export {absent}, which its manifest lists", "an exported class must not be abstract and must implement the contract's interface"), null);
        return found.Except(declared).FirstOrDefault() is { } hidden
            ? (record.As(PluginStatus.Malfunctioned, $"exports {hidden}, which its manifest does not list", $"export with {ExportKinds.Marks} alone"), null)
            : (record, parts);
    }

    private static Parts Compose(PluginRecord record)
    {
        var manifest = record.Manifest!;
        var loader = PluginLoader.CreateFromAssemblyFile(Path.Combine(record.Folder, manifest.Assembly), isUnloadable: true, Shared, config =>
        {
            // To share TorchSharp is to share what it references, and the host's version would be used of that. What a plugin ships is its own.
            foreach (var file in manifest.Files.Where(f => f.Path.EndsWith(".dll", StringComparison.OrdinalIgnoreCase))) config.PrivateAssemblies.Add(new AssemblyName(Path.GetFileNameWithoutExtension(file.Path)));
        });
        var main = loader.LoadDefaultAssembly();
        PluginFault.Register(main, record.Id);
        _ = main.GetTypes();    // forces type-load errors now, with all their texts
        using var container = new ContainerConfiguration().WithAssembly(main).CreateContainer();
        var parts = new Parts(loader, [.. ExportKinds.All.SelectMany(k => k.Compose(record.Id, container))]);
        foreach (var export in parts.Exports)
        {
            if (export is Exported<IModelFamily, ModelMetadata> family && FlavorDifference(record.Exports.First(e => e.Title == export.Title).Flavors, family.Part.Flavors.Keys) is { } flavor)
                throw new InvalidOperationException($"its manifest and its code disagree about flavor {flavor} of {export.Title}; build the plugin again, the build makes the manifest");
            // The configuration of every job was made from the manifest.
            var says = record.Exports.FirstOrDefault(e => e.Title == export.Title)?.Options;
            if (says is not null && export.HasOptions && Difference(says, OptionsRecord.Describe(export.OptionsType)) is { } key)
                throw new InvalidOperationException($"its manifest and its code disagree about option {key} of {export.Title}; build the plugin again, the build makes the manifest");
        }

        return parts;
    }

    private static string? FlavorDifference(IReadOnlyList<string> says, IEnumerable<string> has) => says.Except(has).Concat(has.Except(says)).FirstOrDefault();

    private static string? Difference(IReadOnlyList<PluginOption> says, IReadOnlyList<PluginOption> has) =>
        says.Select(o => o.Key).Union(has.Select(o => o.Key)).FirstOrDefault(k => says.FirstOrDefault(o => o.Key == k) is not { } one || has.FirstOrDefault(o => o.Key == k) is not { } other || !PluginOption.Same(one, other));

    /// <summary>The message that says what really went wrong, from inside the wrappers of reflection and static construction.</summary>
    internal static string Cause(Exception exception)
    {
        while (true)
        {
            switch (exception)
            {
                case ReflectionTypeLoadException { LoaderExceptions: [{ } first, ..] }:
                    exception = first;
                    continue;
                case TypeInitializationException or TargetInvocationException or CompositionFailedException when exception.InnerException is { } inner:
                    exception = inner;
                    continue;
                default:
                    return $"{exception.GetType().Name}: {PluginFault.TextOf(exception)}";
            }
        }
    }

    /// <summary>What helps where more is known than that the plugin is broken; else null.</summary>
    internal static string? Remedy(Exception exception)
    {
        for (var at = exception; at is not null; at = at is ReflectionTypeLoadException { LoaderExceptions: [{ } first, ..] } ? first : at.InnerException)
        {
            if (at is FileNotFoundException { FileName: { Length: > 0 } name })
                return $"its author must ship {name.Split(',')[0]}.dll in its folder; EnableDynamicLoading does so for every reference that is not Private=\"false\"";
        }

        return null;
    }

    /// <summary>What a plugin turned out to be.</summary>
    /// <param name="Loader">Its load context.</param>
    /// <param name="Exports">What it exports, as the plugin made it.</param>
    internal sealed record Parts(PluginLoader Loader, IReadOnlyList<Exported> Exports);
}
