using Titan.Abstractions;

namespace Titan.Training.Parallel;

/// <summary>What one verb of one group moves in a training step.</summary>
/// <param name="Verb">c10d's name of the collective.</param>
/// <param name="Group">Name of the group: <c>dp_shard</c>, <c>dp_replicate</c>, <c>tp</c>.</param>
/// <param name="Size">Ranks of the group.</param>
/// <param name="Calls">Collectives per step; tensors that travel as one message count once.</param>
/// <param name="PayloadBytes">
/// Per step and rank. All-gather: bytes of the output; reduce-scatter and all-to-all: of the input; all-reduce: of the tensor; messages: of what is
/// sent, of a recv of the tensor.
/// </param>
public sealed record CollectiveTraffic(string Verb, string Group, int Size, long Calls, long PayloadBytes)
{
    /// <summary>c10d's names.</summary>
    public const string AllGather = CollectiveVerb.AllGather, ReduceScatter = CollectiveVerb.ReduceScatter, AllReduce = CollectiveVerb.AllReduce, AllToAll = CollectiveVerb.AllToAll;

    /// <summary>What leaves a rank by a ring: (R-1)/R of the payload, twice that for an all-reduce; all of a message.</summary>
    public long WireBytes => Verb switch
    {
        CollectiveVerb.Send or CollectiveVerb.BatchSendReceive => PayloadBytes,
        CollectiveVerb.Receive => 0,
        _ => (long)((Int128)PayloadBytes * (Size - 1) / Size) * (Verb == AllReduce ? 2 : 1),
    };
}
