using System.Runtime.InteropServices;
using Titan.Distributed.Collectives;

namespace Titan.Distributed.Mpi;

/// <summary>
/// Lets a rank that waits too long ask the others how far they are. The questions travel on a communicator of their own and are answered by each rank's communication thread, also
/// when its program hangs. A rank that does not answer is dead, stopped or unreachable.
/// </summary>
internal sealed unsafe class ProgressExchange(MpiLibrary mpi, nint control, Func<int, MpiCommunicator?> communicator, Func<MpiCommunicator?> running)
{
    private const int Question = 1, Answer = 2, Longs = 10;

    private readonly List<nint> sending = [];
    private readonly Dictionary<int, RankProgress> answers = [];
    private (int Communicator, long Number) asked;

    /// <summary>What the others have answered to the last question, by world rank.</summary>
    public IReadOnlyDictionary<int, RankProgress> Answers => answers;

    /// <summary>Asks all members of a communicator about one call.</summary>
    public void Ask(MpiCommunicator comm, long number)
    {
        answers.Clear();
        asked = (comm.Id, number);
        foreach (var rank in comm.Members.Where((_, position) => position != comm.Rank)) Send(rank, Question, [comm.Id, number]);
    }

    /// <summary>Answers questions and takes answers. Also moves messages that MPI has accepted but not yet sent.</summary>
    public void Poll()
    {
        Span<long> message = stackalloc long[Longs];
        while (mpi.TryReceive(control, MemoryMarshal.AsBytes(message), out var source, out var tag))
        {
            if (tag == Question) Reply(source, (int)message[0], message[1]);
            else if (tag == Answer && asked == ((int)message[0], message[1]))
                answers[source] = new(message[2], message[3], (Verb)message[4], (int)message[5], message[6], (int)message[7], message[8], message[9]);
        }

        for (var i = sending.Count - 1; i >= 0; i--)
        {
            var memory = sending[i];
            if (!mpi.Test((nint*)memory)) continue;
            NativeMemory.Free((void*)memory);
            sending.RemoveAt(i);
        }
    }

    /// <summary>Before the end: nothing of ours may be under way when MPI is told to finish.</summary>
    public void Drain()
    {
        for (var i = 0; i < 100; i++)
        {
            Poll();
            if (sending.Count == 0) return;
            Thread.Sleep(5);
        }
    }

    private void Reply(int rank, int id, long number)
    {
        if (communicator(id) is not { } comm)
        {
            Send(rank, Answer, [id, number, 0, 0, 0, 0, 0, -1, -1, 0]);
            return;
        }

        var last = comm.Last;
        var call = comm.Find(number);
        var busy = running();
        Send(rank, Answer,
        [
            id, number, last?.Number ?? 0, comm.Completed, (long)(call?.Verb ?? Verb.None), call?.Type ?? -1, call?.Bytes ?? 0, call?.Detail ?? 0,
            comm.IdleMilliseconds, busy is null || busy == comm ? 0 : busy.Id + 1L,
        ]);
    }

    private void Send(int rank, int tag, ReadOnlySpan<long> values)
    {
        // The request first, then the message: both must stay where they are until it is sent.
        var memory = (nint*)NativeMemory.AllocZeroed((Longs + 1) * sizeof(long));
        values.CopyTo(new Span<long>(memory + 1, Longs));
        mpi.Send(control, (nint)(memory + 1), Longs * sizeof(long), rank, tag, memory);
        sending.Add((nint)memory);
    }
}

/// <summary>How far another rank is, on the communicator and at the call that it was asked about.</summary>
/// <param name="LastCalled">Number of its newest call.</param>
/// <param name="Completed">Number of its newest completed call.</param>
/// <param name="Verb">What it called under the number asked about; <see cref="Verb.None"/> if it has not, or has forgotten.</param>
/// <param name="Type">Type of that call.</param>
/// <param name="Bytes">Bytes of that call.</param>
/// <param name="Detail">Source or reduction of that call.</param>
/// <param name="IdleMilliseconds">Time since its newest call; -1 if there was none.</param>
/// <param name="BusyElsewhere">1 + the communicator on which its communication thread is waiting, 0 for none.</param>
internal sealed record RankProgress(long LastCalled, long Completed, Verb Verb, int Type, long Bytes, int Detail, long IdleMilliseconds, long BusyElsewhere);
