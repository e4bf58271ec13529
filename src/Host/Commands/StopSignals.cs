using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;

namespace Titan.Host.Commands;

/// <summary>SIGTERM and SIGINT: the first asks the run to save and stop, the second leaves at once.</summary>
internal sealed class StopSignals : IDisposable
{
    // Never disposed: a handler may still be on its way when the run has ended.
    private readonly CancellationTokenSource stop = new();
    private readonly bool announces;
    private readonly PosixSignalRegistration[] registrations;
    private int received;

    /// <summary>Begins to listen.</summary>
    /// <param name="announces">Whether this process says so: of many ranks, which are all told, those whose log is shown.</param>
    public StopSignals(bool announces)
    {
        this.announces = announces;
        registrations = [PosixSignalRegistration.Create(PosixSignal.SIGTERM, Handle), PosixSignalRegistration.Create(PosixSignal.SIGINT, Handle)];
    }

    public CancellationToken Token => stop.Token;

    /// <summary>What the run failed with; thrown once the host has stopped.</summary>
    public ExceptionDispatchInfo? Failure { get; set; }

    public void Dispose()
    {
        foreach (var registration in registrations) registration.Dispose();
        Failure?.Throw();
    }

    private void Handle(PosixSignalContext context)
    {
        context.Cancel = true;
        if (Interlocked.Increment(ref received) > 1) Environment.Exit(130);
        if (announces) Console.Error.WriteLine($"titan: {context.Signal}: saving and stopping; a second signal leaves at once");
        stop.Cancel();
    }
}
