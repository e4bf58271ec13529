using System.Diagnostics;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.Loader;
using Titan.Abstractions;

namespace Titan.Host.Plugins;

/// <summary>
/// Whose fault an exception is: the plugin whose code is on its stack. So every call of an extension is covered, also those that come back through
/// a layer, an autograd function or an enumerator, and no call site has to think of it.
/// </summary>
public static class PluginFault
{
    // Weak: to remember a plugin must not keep it loaded.
    private static readonly ConditionalWeakTable<AssemblyLoadContext, string> Owners = [];

    /// <summary>The id of the plugin that an exception comes from, or null.</summary>
    public static string? OwnerOf(Exception exception)
    {
        for (var at = exception; at is not null; at = at.InnerException)
        {
            if (OwnerOf(new StackTrace(at, fNeedFileInfo: false)) is { } id) return id;
        }

        return null;
    }

    /// <summary>The plugin that is being loaded; null for none.</summary>
    internal static string? Loading { get; set; }

    /// <summary>The ids of the plugins whose code may be running, each in quotes: the one that is being loaded, else all that are.</summary>
    public static IReadOnlyList<string> Running => Loading is { } one ? [$"'{one}'"] : [.. Owners.Select(o => $"'{o.Value}'").Order(StringComparer.Ordinal)];

    private static string? OwnerOf(StackTrace stack)
    {
        foreach (var frame in stack.GetFrames())
            if (frame.GetMethod()?.Module.Assembly is { } assembly && OwnerOf(assembly) is { } id) return id;
        return null;
    }

    /// <summary>The exit code and the one line for any exception that ends a command.</summary>
    public static (ExitCode Code, string Message) Describe(Exception exception) => Explain(exception) ?? exception switch
    {
        // What a plugin's cast returned is found out within a layer, which knows nothing of plugins.
        TitanException { Code: ExitCode.Plugin } known when DataOf(known, ModuleSlot.FailedLayer) is string fqn && !known.Message.Contains(fqn, StringComparison.Ordinal) => (known.Code, $"layer {fqn}: {known.Message}"),
        TitanException known => (Failing(known.Code, ExitCode.RunFailed), known.Message),
        _ => (ExitCode.RunFailed, $"{exception.GetType().Name}: {TextOf(exception)} (this should not happen; --verbose shows where)"),
    };

    /// <summary>An exception's message in one line; a plugin's own exception may throw when it is asked.</summary>
    public static string TextOf(Exception exception)
    {
        try
        {
            return exception.Message?.ReplaceLineEndings(" ") ?? "(no message)";
        }
        catch (Exception other)
        {
            return $"(its message cannot be read: {other.GetType().Name})";
        }
    }

    /// <summary>All of an exception, for <c>--verbose</c>.</summary>
    public static string TraceOf(Exception exception)
    {
        try
        {
            return exception.ToString();
        }
        catch (Exception)
        {
            return new StackTrace(exception, fNeedFileInfo: true).ToString();
        }
    }

    /// <summary>The exit code of a failure: never that of success, nor one that means nothing.</summary>
    private static ExitCode Failing(ExitCode code, ExitCode otherwise) => code != ExitCode.Ok && Enum.IsDefined(code) ? code : otherwise;

    /// <summary>The exit code and the one line for an exception that comes from a plugin; null for any other.</summary>
    public static (ExitCode Code, string Message)? Explain(Exception exception)
    {
        // What the host found out about the result of a plugin's layer.
        if (exception is TitanException found && DataOf(exception, ModuleSlot.FailedType) is Type layerType && OwnerOf(layerType.Assembly) is { } owner)
            return (Failing(found.Code, ExitCode.Plugin), $"plugin '{owner}': {found.Message}; earlier checkpoints are kept; drop it from model.converters, or report it to its author");
        if (OwnerOf(exception) is not { } id) return null;
        // What the host threw to a plugin, say a collective that failed, is not the plugin's.
        if (exception is TitanException && !IsThrownBy(exception, id)) return null;
        // A plugin that throws the contract's own exception says itself what is wrong; it only forgets who says so.
        if (exception is TitanException known)
            return (Failing(known.Code, ExitCode.Plugin), known.Message.Contains($"'{id}'", StringComparison.Ordinal) ? known.Message : $"plugin '{id}': {known.Message}");
        var layer = DataOf(exception, ModuleSlot.FailedLayer) is string fqn ? $" in layer {fqn}" : "";
        return (ExitCode.Plugin,
            $"plugin '{id}' failed{layer}: {PluginComposition.Cause(exception)}; earlier checkpoints are kept; {PluginComposition.Remedy(exception) ?? "drop it from model.converters, or report it to its author"}");
    }

    private static object? DataOf(Exception exception, string key)
    {
        try
        {
            return exception.Data[key];
        }
        catch (Exception)
        {
            // Data is virtual too: an exception of a plugin's may throw there.
            return null;
        }
    }

    /// <summary>Whether the plugin threw it, or threw what the host then explained.</summary>
    private static bool IsThrownBy(Exception exception, string id) => exception.InnerException is { } inner && OwnerOf(inner) == id ||
        new StackTrace(exception, fNeedFileInfo: false).GetFrame(0)?.GetMethod()?.Module.Assembly is { } assembly && OwnerOf(assembly) == id;

    internal static void Register(Assembly main, string id) => Owners.AddOrUpdate(AssemblyLoadContext.GetLoadContext(main)!, id);

    private static string? OwnerOf(Assembly assembly) =>
        AssemblyLoadContext.GetLoadContext(assembly) is { } context && Owners.TryGetValue(context, out var id) ? id : null;
}
