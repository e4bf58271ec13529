using System.Runtime.ExceptionServices;
using Titan.Abstractions;

namespace Titan.Host.Plugins;

/// <summary>Calls code of a plugin that should return at once. It runs on a thread of its own: a thread cannot be stopped, but nobody need wait for it.</summary>
internal static class PluginCall
{
    /// <summary>How long a question to a plugin may take.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(10);

    /// <summary>Calls it, and tells whether it returned in time.</summary>
    /// <param name="name">The thread's name.</param>
    /// <param name="limit">How long it may take.</param>
    /// <param name="call">What is called; what it throws is thrown here, with its stack.</param>
    /// <param name="result">What it returned.</param>
    public static bool TryRun<T>(string name, TimeSpan limit, Func<T> call, out T? result)
    {
        T? returned = default;
        ExceptionDispatchInfo? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                returned = call();
            }
            catch (Exception e)
            {
                failure = ExceptionDispatchInfo.Capture(e);
            }
        }) { IsBackground = true, Name = name };
        thread.Start();
        var inTime = thread.Join(limit);
        if (inTime) failure?.Throw();
        result = inTime ? returned : default;
        return inTime;
    }

    /// <summary>Asks a plugin something to which null is no answer.</summary>
    /// <param name="plugin">Its id.</param>
    /// <param name="what">The thing and the member that is asked, for messages.</param>
    /// <param name="call">The question.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Plugin"/> when it answers null, or not within <see cref="Limit"/>.</exception>
    public static T Ask<T>(string plugin, string what, Func<T?> call) where T : class => AskOrNull(plugin, what, call)
        ?? throw new TitanException(ExitCode.Plugin, $"plugin '{plugin}': {what} returned null; drop it from model.converters or report it to its author");

    /// <summary>Asks a plugin something to which null is an answer.</summary>
    public static T? AskOrNull<T>(string plugin, string what, Func<T?> call) => TryRun($"{plugin}: {what}", Limit, call, out var answer)
        ? answer
        : throw new TitanException(ExitCode.Plugin, $"plugin '{plugin}': {what} did not return within {Limit.TotalSeconds} s; drop it from model.converters or report it to its author");
}
