using System.Runtime.InteropServices;
using Titan.Abstractions;

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

    [StructLayout(LayoutKind.Sequential)]
    private readonly record struct Header(long Number, long Bytes, int Verb, int Type, int Detail, int Reserved)
    {
        public Header(CollectiveCall call) : this(call.Number, call.Bytes, (int)call.Verb, call.Type, call.Detail, 0)
        {
        }
    }
}
