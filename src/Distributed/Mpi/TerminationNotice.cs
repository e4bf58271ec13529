using System.Diagnostics;
using System.Runtime.InteropServices;
using Titan.Distributed.Collectives;

namespace Titan.Distributed.Mpi;

/// <summary>A launcher that lost a rank ends the others by SIGTERM: says what this one was waiting in. What the signal does otherwise is not changed.</summary>
internal sealed class TerminationNotice : IDisposable
{
    private static readonly TimeSpan NoteworthyWait = TimeSpan.FromMilliseconds(100);

    private readonly PosixSignalRegistration registration;

    /// <summary>Listens from now on.</summary>
    /// <param name="isJoining">Whether the ranks are still coming together.</param>
    /// <param name="pending">The collective under way.</param>
    /// <param name="me">The rank's name, when there is a collective.</param>
    /// <param name="words">Where to say it.</param>
    public TerminationNotice(Func<bool> isJoining, Func<PendingCollective?> pending, Func<string> me, LastWords words) => registration = PosixSignalRegistration.Create(PosixSignal.SIGTERM, _ =>
    {
        if (isJoining())
        {
            words.Say($"{me()} was told to end (SIGTERM) while it waited for the other ranks to join the job; where nobody asked for that, one of them ended before it had joined: " +
                "all ranks must run the same 'titan train'");
            return;
        }

        if (pending() is { } collective && Stopwatch.GetElapsedTime(collective.StartedAt) is var waited && waited > NoteworthyWait)
            words.Say($"{me()} was told to end (SIGTERM) while it waited in {collective.Call}, for {Quantities.Seconds(waited.TotalSeconds)}");
    });

    public void Dispose() => registration.Dispose();
}
