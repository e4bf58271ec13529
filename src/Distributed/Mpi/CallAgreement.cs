using System.Runtime.InteropServices;
using Titan.Abstractions;
using Titan.Distributed.Collectives;

namespace Titan.Distributed.Mpi;

/// <summary>Compares what the ranks are about to do. A message that is too short for its receiver would otherwise pass unnoticed, and another verb would wait for ever.</summary>
internal static unsafe class CallAgreement
{
    /// <exception cref="TitanException">On every rank, with the same list of who called what.</exception>
    public static void Verify(MpiTransfers transfers, MpiCommunicator comm, CollectiveCall call, RankDirectory ranks)
    {
        var all = (Header*)NativeMemory.AllocZeroed((nuint)comm.Size, (nuint)sizeof(Header));
        // After an error MPI may still write here: not given back.
        all[comm.Rank] = new Header(call);
        transfers.GatherHeaders(comm, (nint)all, sizeof(Header));
        var headers = new Span<Header>(all, comm.Size).ToArray();
        NativeMemory.Free(all);
        if (headers.All(h => h == headers[0])) return;

        var calls = headers.Index().GroupBy(h => h.Item, h => comm.Members[h.Index])
            .Select(g => $"{Quantities.Ranks([.. g])} called {CollectiveCall.Describe((Verb)g.Key.Verb, g.Key.Type, g.Key.Bytes, g.Key.Detail)}");
        throw new TitanException(ExitCode.RunFailed,
            $"{call} on {ranks.Me}: the ranks disagree: {string.Join("; ", calls)}. Every rank of a group must make the same calls in the same order, with the same shapes and types");
    }

    /// <summary>Compares what each rank sends to each with what that one expects.</summary>
    /// <param name="transfers">Carries the numbers.</param>
    /// <param name="comm">Where.</param>
    /// <param name="call">The all-to-all.</param>
    /// <param name="outputs">Bytes that this rank expects of each.</param>
    /// <param name="inputs">Bytes that this rank sends to each.</param>
    /// <param name="ranks">Names.</param>
    /// <exception cref="TitanException">On every rank, with the first pair that does not fit.</exception>
    public static void VerifySplits(
        MpiTransfers transfers, MpiCommunicator comm, CollectiveCall call, long[] outputs, long[] inputs, RankDirectory ranks)
    {
        var sent = transfers.ExchangeNumbers(comm, inputs);
        var at = Enumerable.Range(0, comm.Size).Where(r => sent[r] != outputs[r]).DefaultIfEmpty(-1).First();
        // All hear of it: whoever fits would wait for the others.
        var all = transfers.GatherNumbers(comm, at < 0 ? [-1, 0, 0] : [at, sent[at], outputs[at]]);
        var faults = Enumerable.Range(0, comm.Size).Where(r => all[3 * r] >= 0).Select(r =>
            $"{ranks.Name(comm.Members[(int)all[3 * r]])} sends {Quantities.Bytes(all[3 * r + 1])} to {ranks.Name(comm.Members[r])}, " +
            $"which expects {Quantities.Bytes(all[3 * r + 2])}").ToList();
        if (faults.Count > 0)
            throw new TitanException(ExitCode.RunFailed,
                $"{call} on {ranks.Me}: the ranks disagree: {string.Join("; ", faults)}. The input splits of a rank are the output splits of the others");
    }

    [StructLayout(LayoutKind.Sequential)]
    private readonly record struct Header(long Number, long Bytes, int Verb, int Type, int Detail, int Reserved)
    {
        public Header(CollectiveCall call)
            : this(call.Number, CollectiveCall.Common(call.Verb, call.Type, call.Bytes, call.Detail).Bytes, (int)call.Verb, call.Type, call.Detail, 0)
        {
        }
    }
}
