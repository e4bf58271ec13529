using System.Composition;
using System.Composition.Hosting;
using System.Reflection;
using McMaster.NETCore.Plugins;
using Titan.Abstractions;

namespace Titan.Host.Plugins;

/// <summary>What a loaded plugin adds, with its owner.</summary>
/// <typeparam name="TPart">Recipe, converter or parallelism.</typeparam>
/// <typeparam name="TMetadata">Its metadata.</typeparam>
/// <param name="PluginId">The owner.</param>
/// <param name="Metadata">The metadata.</param>
/// <param name="Part">The part.</param>
public sealed record Exported<TPart, TMetadata>(string PluginId, TMetadata Metadata, TPart Part);

/// <summary>Loads one plugin into a context of its own and constructs its parts, in a container of its own, so that a bad plugin takes no other with it.</summary>
internal static class PluginComposition
{
    /// <summary>A plugin that takes longer to construct is given up: a static constructor may wait forever.</summary>
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(10);

    private static readonly Type[] Shared = [typeof(IQuantizationRecipe), typeof(TorchSharp.torch.Tensor), typeof(ExportAttribute)];

    public static (PluginRecord Record, Parts? Parts) Load(PluginRecord record)
    {
        Parts? parts = null;
        Exception? failure = null;
        // A thread of its own: it cannot be stopped, but the host need not wait for it.
        var thread = new Thread(() =>
        {
            try
            {
                parts = Compose(Path.GetFullPath(Path.Combine(record.Folder, record.Manifest!.Assembly)));
            }
            catch (Exception e)
            {
                failure = e;
            }
        }) { IsBackground = true, Name = $"load {record.Id}" };
        thread.Start();
        if (!thread.Join(Limit))
            return (record.As(PluginStatus.Malfunctioned, $"did not finish loading within {Limit.TotalSeconds} s", "look at its static constructors, or disable it: --plugins.disable " + record.Id), null);
        if (failure is not null)
            return (record.As(PluginStatus.Malfunctioned, $"fails while it loads: {Cause(failure)}", "report it to its author, or disable it: --plugins.disable " + record.Id), null);
        return parts!.Count < record.Exports.Count
            ? (record.As(PluginStatus.Malfunctioned, $"exports {parts.Count} of the {record.Exports.Count} parts that its attributes declare", "an exported class must be public and implement the contract's interface"), null)
            : (record, parts);
    }

    private static Parts Compose(string assembly)
    {
        var loader = PluginLoader.CreateFromAssemblyFile(assembly, isUnloadable: true, Shared);
        var main = loader.LoadDefaultAssembly();
        _ = main.GetTypes();    // forces type-load errors now, with all their texts
        using var container = new ContainerConfiguration().WithAssembly(main).CreateContainer();
        var parts = new Parts();
        container.SatisfyImports(parts);
        foreach (var recipe in parts.RecipeFactories) parts.Recipes.Add((recipe.Metadata, recipe.CreateExport().Value));
        foreach (var converter in parts.ConverterFactories) parts.Converters.Add((converter.Metadata, converter.CreateExport().Value));
        foreach (var parallelism in parts.ParallelismFactories) parts.Parallelisms.Add((parallelism.Metadata, parallelism.CreateExport().Value));
        return parts;
    }

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
                    return $"{exception.GetType().Name}: {exception.Message.ReplaceLineEndings(" ")}";
            }
        }
    }

    internal sealed class Parts
    {
        [ImportMany]
        public IEnumerable<ExportFactory<IQuantizationRecipe, RecipeMetadata>> RecipeFactories { get; set; } = [];

        [ImportMany]
        public IEnumerable<ExportFactory<IModelConverter, ConverterMetadata>> ConverterFactories { get; set; } = [];

        [ImportMany]
        public IEnumerable<ExportFactory<IParallelism, ParallelismMetadata>> ParallelismFactories { get; set; } = [];

        public List<(RecipeMetadata Metadata, IQuantizationRecipe Part)> Recipes { get; } = [];

        public List<(ConverterMetadata Metadata, IModelConverter Part)> Converters { get; } = [];

        public List<(ParallelismMetadata Metadata, IParallelism Part)> Parallelisms { get; } = [];

        public int Count => Recipes.Count + Converters.Count + Parallelisms.Count;
    }
}
