using Titan.Abstractions;

namespace Titan.Distributed.Collectives;

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
        Verb.AllGatherIntoTensor => CollectiveVerb.AllGather,
        Verb.ReduceScatterTensor => CollectiveVerb.ReduceScatter,
        Verb.AllReduce => CollectiveVerb.AllReduce,
        Verb.Broadcast => "broadcast",
        Verb.AllToAllSingle => CollectiveVerb.AllToAll,
        Verb.Barrier => "barrier",
        Verb.Send => CollectiveVerb.Send,
        Verb.Receive => CollectiveVerb.Receive,
        Verb.BatchSendReceive => CollectiveVerb.BatchSendReceive,
        _ => "nothing",
    };
}
