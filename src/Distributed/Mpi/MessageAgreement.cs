using System.Runtime.InteropServices;
using Titan.Abstractions;
using Titan.Distributed.Collectives;
using static TorchSharp.torch;

namespace Titan.Distributed.Mpi;

/// <summary>Says before a message how long it is: one that is shorter than its receiver's tensor would otherwise pass unnoticed.</summary>
internal static unsafe class MessageAgreement
{
    /// <summary>Sends the messages, the first ones between two ranks with a tag compared before.</summary>
    /// <param name="transfers">Carries them.</param>
    /// <param name="comm">Where.</param>
    /// <param name="call">The call.</param>
    /// <param name="messages">What to send and to receive; every tag has a second one of its own beside it.</param>
    /// <param name="verified">How many messages of two ranks are compared.</param>
    /// <param name="ranks">Names.</param>
    /// <exception cref="TitanException">On the rank that receives, naming both lengths.</exception>
    public static void Exchange(
        MpiTransfers transfers, MpiCommunicator comm, CollectiveCall call, Message[] messages, int verified, RankDirectory ranks)
    {
        // Both sides count alike, so both know which messages have a header.
        Message[] compared = [.. messages.Where(m => comm.CountMessage(m.Peer, m.Tag, m.IsSend) <= verified)];
        if (compared.Length > 0)
        {
            var headers = (Header*)NativeMemory.AllocZeroed((nuint)compared.Length, (nuint)sizeof(Header));
            // After an error MPI may still write here: not given back.
            for (var i = 0; i < compared.Length; i++)
                if (compared[i].IsSend) headers[i] = new Header(compared[i].Bytes, compared[i].Type);
            transfers.Exchange(comm,
                [.. compared.Select((m, i) => m with { Address = (nint)(headers + i), Bytes = sizeof(Header), Tag = 2 * m.Tag + 1 })]);
            for (var i = 0; i < compared.Length; i++)
            {
                var (m, header) = (compared[i], headers[i]);
                if (m.IsSend || header == new Header(m.Bytes, m.Type)) continue;
                throw new TitanException(ExitCode.RunFailed,
                    $"{call} on {ranks.Me}: {ranks.Name(comm.Members[m.Peer])} sends {Length(header.Bytes, header.Type)} with tag {m.Tag}, " +
                    $"this rank receives {Length(m.Bytes, m.Type)}. Both need the same type and number of elements");
            }

            NativeMemory.Free(headers);
        }

        transfers.Exchange(comm, [.. messages.Select(m => m with { Tag = 2 * m.Tag })]);
    }

    private static string Length(long bytes, long type) => $"{Quantities.Bytes(bytes)} {Quantities.Type((ScalarType)type)}";

    [StructLayout(LayoutKind.Sequential)]
    private readonly record struct Header(long Bytes, long Type);
}
