using Titan.Abstractions;

namespace Titan.Distributed;

/// <summary>The collectives, as numbers that ranks can compare.</summary>
internal enum Verb
{
    None,
    AllGatherIntoTensor,
    ReduceScatterTensor,
    AllReduce,
    Broadcast,
    AllToAllSingle,
    Barrier,
    Send,
    Receive,
    BatchSendReceive,
}

internal static class VerbNames
{
    /// <summary>What messages are called: by the one, or as a batch.</summary>
    public static Verb Of(IReadOnlyList<PointToPoint> messages) =>
        messages.Count != 1 ? Verb.BatchSendReceive : messages[0].IsSend ? Verb.Send : Verb.Receive;

    /// <summary>c10d's name.</summary>
    public static string Text(this Verb verb) => verb switch
    {
        Verb.AllGatherIntoTensor => "all_gather_into_tensor",
        Verb.ReduceScatterTensor => "reduce_scatter_tensor",
        Verb.AllReduce => "all_reduce",
        Verb.Broadcast => "broadcast",
        Verb.AllToAllSingle => "all_to_all_single",
        Verb.Barrier => "barrier",
        Verb.Send => "send",
        Verb.Receive => "recv",
        Verb.BatchSendReceive => "batch_isend_irecv",
        _ => "nothing",
    };
}
