using Titan.Abstractions;
using Titan.Distributed.Collectives;
using static TorchSharp.torch;

namespace Titan.Distributed.Mpi;

/// <summary>What is called.</summary>
/// <param name="Verb">Which verb.</param>
/// <param name="Group">Name of the group.</param>
/// <param name="Type">libtorch's scalar type, -1 for none.</param>
/// <param name="Bytes">Payload.</param>
/// <param name="Detail">Source rank, reduction, number of tensors; of an all-to-all with splits, 1 + the bytes of a row.</param>
internal sealed record CallRequest(Verb Verb, string Group, int Type, long Bytes, int Detail)
{
    /// <summary>Bytes that go to other ranks, where the payload does not say.</summary>
    public long? Sent { get; init; }

    /// <summary>The ranks of the group that messages go to or come from; null for a collective, which all call.</summary>
    public IReadOnlyList<int>? Peers { get; init; }

    /// <summary>An all-to-all whose slices have lengths of their own.</summary>
    public static CallRequest Uneven(string group, TensorStorage input, long rowBytes, long ownRows) =>
        new(Verb.AllToAllSingle, group, (int)input.Type, input.Bytes, (int)Math.Min(rowBytes + 1, int.MaxValue))
        {
            Sent = input.Bytes - ownRows * rowBytes,
        };

    /// <summary>Messages of a rank.</summary>
    public static CallRequest Messages(string group, IReadOnlyList<PointToPoint> messages, IReadOnlyList<TensorStorage> tensors, int rank)
    {
        var verb = VerbNames.Of(messages);
        var sent = messages.Zip(tensors).Where(m => m.First.IsSend).ToList();
        var bytes = verb == Verb.Receive ? tensors[0].Bytes : sent.Sum(m => m.Second.Bytes);
        return new(verb, group, tensors.Count == 0 ? -1 : (int)tensors[0].Type, bytes, messages.Count)
        {
            Sent = sent.Where(m => m.First.Peer != rank).Sum(m => m.Second.Bytes), Peers = [.. messages.Select(m => m.Peer).Distinct().Order()],
        };
    }
}

/// <summary>One call, as ranks compare it.</summary>
/// <param name="Number">Counts the collectives on its communicator, from 1; messages apart.</param>
/// <param name="Request">What was called.</param>
internal sealed record CollectiveCall(long Number, CallRequest Request)
{
    public Verb Verb => Request.Verb;

    public string Group => Request.Group;

    public int Type => Request.Type;

    public long Bytes => Request.Bytes;

    public int Detail => Request.Detail;

    public IReadOnlyList<int>? Peers => Request.Peers;

    public override string ToString() => $"{Verb.Text()} #{Number} of group '{Group}'" + Verb switch
    {
        Verb.Barrier => "",
        Verb.Send => $" to rank {Peers![0]} of the group ({Quantities.Bytes(Bytes)})",
        Verb.Receive => $" from rank {Peers![0]} of the group ({Quantities.Bytes(Bytes)})",
        Verb.BatchSendReceive => $" with {Quantities.Ranks([.. Peers!])} of the group ({Detail} messages, {Quantities.Bytes(Bytes)} sent)",
        _ => $" ({Quantities.Bytes(Bytes)})",
    };

    /// <summary>What must be the same on every rank: ranks have payloads of their own where they have splits.</summary>
    public static (Verb Verb, int Type, long Bytes, int Detail) Common(Verb verb, int type, long bytes, int detail) =>
        (verb, type, verb == Verb.AllToAllSingle && detail > 0 ? 0 : bytes, detail);

    /// <summary>The call without its number: what must be the same on every rank.</summary>
    public static string Describe(Verb verb, int type, long bytes, int detail) => verb switch
    {
        Verb.Barrier => verb.Text(),
        Verb.Broadcast => $"{verb.Text()} of {Quantities.Bytes(bytes)} {Quantities.Type((ScalarType)type)} from rank {detail} of the group",
        Verb.AllReduce => $"{verb.Text()} ({(ReduceOperation)detail}) of {Quantities.Bytes(bytes)} {Quantities.Type((ScalarType)type)}",
        Verb.AllToAllSingle when detail > 0 =>
            $"{verb.Text()} with splits, rows of {Quantities.Bytes(detail - 1)} {Quantities.Type((ScalarType)type)}",
        _ when detail > 1 => $"{verb.Text()} of {detail} tensors, {Quantities.Bytes(bytes)}, the first {Quantities.Type((ScalarType)type)}",
        _ => $"{verb.Text()} of {Quantities.Bytes(bytes)} {Quantities.Type((ScalarType)type)}",
    };
}
