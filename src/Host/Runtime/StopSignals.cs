using System.Diagnostics;
using System.Runtime.InteropServices;
using Titan.Distributed.Launch;

namespace Titan.Host.Runtime;

/// <summary>
/// SIGTERM, SIGINT and SIGHUP. A run is asked by the first to save and stop, and left at once by the next; every other command is left by the first. SIGQUIT leaves at once
/// always. Leaving ends the process as it is, with 128 and the signal's number: a thread may be inside libtorch, which takes no other end. The process listens from its first
/// line to its last, so that no signal falls between two listeners; a stop that comes before the run or after it is kept, or has nothing to stop.
/// </summary>
internal sealed class StopSignals
{
    /// <summary>
    /// Signals within this time are one request: a scheduler may tell the ranks itself and by their launcher, and a terminal all processes of a group that pass it on.
    /// </summary>
    public static readonly TimeSpan OneRequest = TimeSpan.FromSeconds(1);

    private static readonly Lazy<StopSignals> Listener = new(() => new StopSignals());
    private static volatile bool isRun;

    // SIGUSR1, which schedulers send too: a stop like the others.
    private const PosixSignal User1 = (PosixSignal)10;

    private readonly CancellationTokenSource stop = new();
    private readonly object gate = new();
    // Referenced for the life of the process: one that is collected listens no more.
    private readonly PosixSignalRegistration[] registrations;
    private PosixSignal first;
    private long firstAt;
    private bool? announces;
    private bool isSaid;

    private StopSignals()
    {
        // Last the one that the runtime does not catch by itself: by it run_train.sh sees that this process listens.
        PosixSignal[] signals = [PosixSignal.SIGHUP, PosixSignal.SIGQUIT, PosixSignal.SIGINT, PosixSignal.SIGTERM, User1];
        registrations = [.. signals.Select(s => PosixSignalRegistration.Create(s, Handle))];
    }

    /// <summary>Runs before the process is left: for files and processes that must not stay. May be called on any thread.</summary>
    public static event Action? Leaving;

    /// <summary>Cancelled when the run was asked to stop.</summary>
    public static CancellationToken Stop => Listener.Value.stop.Token;

    /// <summary>Begins to listen.</summary>
    /// <param name="run">Whether there will be a run to stop.</param>
    public static void Listen(bool run)
    {
        isRun = run;
        _ = Listener.Value;
    }

    /// <summary>Whether this process says that it was asked: of many ranks, which are all told, those whose log is shown. What was asked before is said now.</summary>
    public static void Announce(bool shown)
    {
        var signals = Listener.Value;
        lock (signals.gate) signals.announces = shown;
        signals.Say();
    }

    private void Handle(PosixSignalContext context)
    {
        context.Cancel = true;
        var now = Stopwatch.GetTimestamp();
        lock (gate)
        {
            if (!isRun || context.Signal == PosixSignal.SIGQUIT) Leave(context.Signal);
            if (firstAt != 0)
            {
                if (Stopwatch.GetElapsedTime(firstAt, now) >= OneRequest) Leave(context.Signal);
                return;
            }

            (first, firstAt) = (context.Signal, now);
            // A process that nobody launched knows that it is the only one.
            if (announces is null && LaunchEnvironment.Detect().Launcher == Launcher.None) announces = true;
        }

        // Before it is said: whoever should read that may not.
        stop.Cancel();
        Say();
    }

    private void Say()
    {
        lock (gate)
        {
            if (firstAt == 0 || announces != true || isSaid) return;
            isSaid = true;
        }

        // Not under the lock: where nobody reads it, the next signal must still be heard.
        Console.Error.WriteLine($"titan: {Name(first)}: saving and stopping; a second signal, {OneRequest.TotalSeconds:0} s or more later, leaves at once");
    }

    private void Leave(PosixSignal signal)
    {
        try
        {
            // Not waited for where nobody reads.
            if (announces != false && firstAt != 0) Task.Run(() => Console.Error.WriteLine($"titan: {Name(signal)}: leaving at once; nothing more is saved")).Wait(TimeSpan.FromSeconds(1));
            Leaving?.Invoke();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidOperationException)
        {
            // What could not be removed stays.
        }

        NativeProcess.ExitNow(128 + Number(signal));
    }

    /// <summary>The number that shells and schedulers know.</summary>
    private static int Number(PosixSignal signal) => signal switch
    {
        PosixSignal.SIGHUP => 1,
        PosixSignal.SIGINT => 2,
        PosixSignal.SIGQUIT => 3,
        User1 => 10,
        _ => 15,
    };

    private static string Name(PosixSignal signal) => signal == User1 ? "SIGUSR1" : signal.ToString();
}
