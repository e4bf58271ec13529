using System.Diagnostics.CodeAnalysis;
using Titan.Abstractions;
using Titan.Distributed.Launch;

namespace Titan.Distributed.Mpi;

/// <summary>What a rank says before it ends the job, and how it ends it.</summary>
internal sealed class LastWords(TextWriter error)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private MpiLibrary? library;
    private int asked = -1;

    /// <summary>Ends the job; null while it is not loaded.</summary>
    public MpiLibrary? Library
    {
        set => Volatile.Write(ref library, value);
    }

    /// <summary>One line, written out at once: nothing is written after the end.</summary>
    public void Say(string message)
    {
        lock (error)
        {
            error.WriteLine(message);
            error.Flush();
        }
    }

    /// <summary>Asks the thread that may call MPI to end the job.</summary>
    public void AskToEnd(ExitCode code) => Volatile.Write(ref asked, (int)code);

    /// <summary>Ends the job if somebody has asked for it.</summary>
    public void EndIfAsked()
    {
        if (Volatile.Read(ref asked) is >= 0 and var code) End((ExitCode)code);
    }

    /// <summary>Ends all ranks, or at least this one: MPI_Abort can itself wait for a rank that is gone.</summary>
    [DoesNotReturn]
    public void End(ExitCode exitCode)
    {
        var code = (int)exitCode;
        if (Volatile.Read(ref library) is { } mpi)
        {
            new Thread(() =>
            {
                Thread.Sleep(Patience);
                NativeProcess.ExitNow(code);
            })
            { IsBackground = true }.Start();
            mpi.Abort(code);
        }

        NativeProcess.ExitNow(code);
    }
}
