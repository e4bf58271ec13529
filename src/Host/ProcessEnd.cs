using System.Diagnostics;
using Titan.Abstractions;
using Titan.Distributed.Launch;
using Titan.Host.Plugins;

namespace Titan.Host;

/// <summary>
/// How the process ends: with exit code 0 only when its command has finished, whoever calls Environment.Exit, and within seconds, whoever keeps a thread or an exit handler.
/// </summary>
internal static class ProcessEnd
{
    /// <summary>How long exit handlers of anybody may take together.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    // From here on a process was ended by a signal.
    private const int FirstOfSignals = 128;

    private static TextWriter errors = TextWriter.Null;

    // -1 before the command has finished.
    private static volatile int finished = -1;

    /// <summary>Begins to watch. First of all: exit handlers run in the order in which they were added.</summary>
    public static void Watch()
    {
        // Now: a plugin may put another writer in its place.
        errors = Console.Error;
        AppDomain.CurrentDomain.ProcessExit += (_, _) => BeforeExit();
        AppDomain.CurrentDomain.UnhandledException += (_, e) => Unhandled(e.ExceptionObject);
    }

    /// <summary>Says something about the end, also where somebody replaced the error stream.</summary>
    public static void Say(string text)
    {
        try
        {
            errors.WriteLine(text);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // Nobody listens.
        }
    }

    /// <summary>The command has finished. Does not return: a thread that is left, of whoever's, is not waited for.</summary>
    public static int Finish(int code)
    {
        finished = code;
        Environment.Exit(code);
        return code;
    }

    /// <summary>Runs on a thread of the runtime's: whose call it was cannot be seen, but only plugins that the job names are loaded, and the program itself ends otherwise.</summary>
    private static void BeforeExit()
    {
        var code = Environment.ExitCode;
        if (finished < 0 && code < FirstOfSignals)
        {
            var plugins = PluginFault.Running;
            var whose = plugins.Count switch { 0 => "something", 1 => $"plugin {plugins[0]}", _ => $"one of the plugins {string.Join(", ", plugins)}" };
            Say($"titan: error: {whose} ended the process with Environment.Exit({code}) before the command had finished" + (plugins.Count > 0 ? "; drop it from the job, or report it to its author" : ""));
            Environment.ExitCode = code = plugins.Count > 0 ? (int)ExitCode.Plugin : code == 0 ? (int)ExitCode.RunFailed : code;
        }

        new Thread(() =>
        {
            Thread.Sleep(Patience);
            Say($"titan: warning: an exit handler did not return within {Patience.TotalSeconds} s and is not waited for");
            EndNow(code);
        }) { IsBackground = true, Name = "end" }.Start();
    }

    /// <summary>An exception on a thread where nobody catches it.</summary>
    private static void Unhandled(object thrown)
    {
        if (thrown is not Exception exception) return;
        var (code, message) = PluginFault.Describe(exception);
        Say($"titan: {(finished < 0 ? "error" : "warning")}: {message}; it was thrown where nobody can catch it: on a thread of its own, or by an exit handler");
        if (Commands.TrainCommand.Verbose) Say(PluginFault.TraceOf(exception));
        EndNow(finished < 0 ? (int)code : finished);
    }

    /// <summary>Ends the process without asking anybody.</summary>
    private static void EndNow(int code)
    {
        if (OperatingSystem.IsWindows()) Process.GetCurrentProcess().Kill();
        else NativeProcess.ExitNow(code);
    }
}
