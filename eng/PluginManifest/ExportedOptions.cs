using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.Loader;
using Titan.Host.Configuration;
using Titan.Host.Plugins;

namespace Titan.PluginManifest;

/// <summary>
/// The options of a plugin's exports, found by asking the classes that the build has just made. It is the author's own code that runs here, once, so that the host need not run it to know
/// which keys a job may set. No constructor of an exported class runs: its OptionsType is asked of an object without one.
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
        IReadOnlyList<PluginOption>? options = null;
        Exception? failure = null;
        // A thread of its own: a static constructor may wait for ever.
        var thread = new Thread(() =>
        {
            try
            {
                options = Of(name, attribute);
            }
            catch (Exception e)
            {
                failure = e;
            }
        }) { IsBackground = true };
        thread.Start();
        if (!thread.Join(Limit)) throw new InvalidOperationException($"{name} did not say its options within {Limit.TotalSeconds} s; look at its OptionsType, static constructors and module initialisers");
        while (failure is TargetInvocationException or TypeInitializationException && failure.InnerException is { } inner) failure = inner;
        return failure is null ? export with { Options = options! } : throw new InvalidOperationException($"{name} does not say its options: {failure.GetType().Name}: {failure.Message}", failure);
    }

    private IReadOnlyList<PluginOption> Of(string name, string attribute)
    {
        var type = main.GetType(name, throwOnError: true)!;
        var mark = type.CustomAttributes.First(a => a.AttributeType.FullName == attribute).AttributeType;
        var contract = (Type)mark.GetProperty("ContractType")!.GetValue(type.GetCustomAttributes(mark, inherit: false)[0])!;
        // A class that is not what it is exported as: the host refuses to load it, and says why.
        if (type.IsAbstract || !type.IsAssignableTo(contract)) return [];
        // A kind whose interface does not ask for options has none.
        return contract.GetProperty("OptionsType", typeof(Type)) is { } options ? OptionsRecord.Describe((Type?)options.GetValue(RuntimeHelpers.GetUninitializedObject(type))) : [];
    }
}
