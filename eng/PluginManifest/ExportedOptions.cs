using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.Loader;
using Titan.Host.Configuration;
using Titan.Host.Plugins;

namespace Titan.PluginManifest;

/// <summary>
/// The options of a plugin's exports, found by asking the classes that the build has just made. It is the author's own code that runs here, once, so that the host need not run it to know
/// which keys a job may set. OptionsType is asked of an object whose constructor did not run; that of a model family does run.
/// </summary>
internal sealed class ExportedOptions
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(10);

    private readonly Assembly main;

    /// <summary>Loads a plugin's assembly.</summary>
    /// <param name="assembly">The assembly; what it ships lies beside it.</param>
    /// <param name="references">All that it was compiled against.</param>
    public ExportedOptions(string assembly, IReadOnlyList<string> references)
    {
        var context = new AssemblyLoadContext("plugin");
        var beside = Directory.EnumerateFiles(Path.GetDirectoryName(Path.GetFullPath(assembly))!, "*.dll");
        var known = beside.Concat(references).GroupBy(Path.GetFileNameWithoutExtension, StringComparer.OrdinalIgnoreCase).ToDictionary(g => g.Key!, g => Path.GetFullPath(g.First()), StringComparer.OrdinalIgnoreCase);
        context.Resolving += (_, name) => known.TryGetValue(name.Name!, out var path) ? context.LoadFromAssemblyPath(path) : null;
        main = context.LoadFromAssemblyPath(Path.GetFullPath(assembly));
    }

    /// <summary>The export with its options.</summary>
    /// <param name="name">The class's full name.</param>
    /// <param name="attribute">The full name of the attribute that exports it.</param>
    /// <param name="export">What the attribute says.</param>
    /// <exception cref="InvalidOperationException">With the cause, where they cannot be found out.</exception>
    public PluginExport Complete(string name, string attribute, PluginExport export)
    {
        (IReadOnlyList<PluginOption> Options, IReadOnlyList<string> Flavors) says = ([], []);
        Exception? failure = null;
        // A thread of its own: a static constructor may wait for ever.
        var thread = new Thread(() =>
        {
            try
            {
                says = Of(name, attribute);
            }
            catch (Exception e)
            {
                failure = e;
            }
        }) { IsBackground = true };
        thread.Start();
        if (!thread.Join(Limit)) throw new InvalidOperationException($"{name} did not say its options within {Limit.TotalSeconds} s; look at its OptionsType, static constructors and module initialisers");
        while (failure is TargetInvocationException or TypeInitializationException && failure.InnerException is { } inner) failure = inner;
        return failure is null ? export with { Options = says.Options, Flavors = says.Flavors } : throw new InvalidOperationException($"{name} does not say its options: {failure.GetType().Name}: {failure.Message}", failure);
    }

    private (IReadOnlyList<PluginOption> Options, IReadOnlyList<string> Flavors) Of(string name, string attribute)
    {
        var type = main.GetType(name, throwOnError: true)!;
        var mark = type.CustomAttributes.First(a => a.AttributeType.FullName == attribute).AttributeType;
        var contract = (Type)mark.GetProperty("ContractType")!.GetValue(type.GetCustomAttributes(mark, inherit: false)[0])!;
        // A class that is not what it is exported as: the host refuses to load it, and says why.
        if (type.IsAbstract || !type.IsAssignableTo(contract)) return ([], []);
        // A kind whose interface does not ask for options has none.
        var options = OptionsRecord.PropertyOf(contract) is { } property ? OptionsRecord.Describe((Type?)property.GetValue(RuntimeHelpers.GetUninitializedObject(type))) : [];
        return (options, Flavors(contract, type));
    }

    /// <summary>The flavors of a model family, which is a table that its constructor makes.</summary>
    private static IReadOnlyList<string> Flavors(Type contract, Type type)
    {
        if (contract.GetProperty("Flavors") is not { } property) return [];
        var flavors = property.GetValue(Activator.CreateInstance(type)) ?? throw new InvalidOperationException("its Flavors are null");
        return [.. (IEnumerable<string>)property.PropertyType.GetProperty("Keys")!.GetValue(flavors)!];
    }
}
