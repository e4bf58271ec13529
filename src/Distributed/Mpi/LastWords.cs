using System.Diagnostics.CodeAnalysis;
using Titan.Distributed.Launch;

namespace Titan.Distributed.Mpi;

/// <summary>What a rank says before it ends the job, and how it ends it.</summary>
internal sealed class LastWords(TextWriter error)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    /// <summary>One line, written out at once: nothing is written after the end.</summary>
    public void Say(string message)
    {
        lock (error)
        {
            error.WriteLine(message);
            error.Flush();
        }
    }

    /// <summary>Ends all ranks, or at least this one: MPI_Abort can itself wait for a rank that is gone.</summary>
    /// <param name="mpi">Null while the library is not loaded.</param>
    /// <param name="code">The exit code.</param>
    [DoesNotReturn]
    public static void End(MpiLibrary? mpi, int code)
    {
        if (mpi is not null)
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
