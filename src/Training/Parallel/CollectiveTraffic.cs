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
    public const string AllGather = "all_gather_into_tensor", ReduceScatter = "reduce_scatter_tensor", AllReduce = "all_reduce", AllToAll = "all_to_all_single",
        Send = "send", Receive = "recv", BatchSendReceive = "batch_isend_irecv";

    /// <summary>What leaves a rank by a ring: (R-1)/R of the payload, twice that for an all-reduce; all of a message.</summary>
    public long WireBytes => Verb switch
    {
        Send or BatchSendReceive => PayloadBytes,
        Receive => 0,
        _ => (long)((Int128)PayloadBytes * (Size - 1) / Size) * (Verb == AllReduce ? 2 : 1),
    };
}

/// <summary>Adds collectives up by verb and group.</summary>
internal sealed class TrafficSum
{
    private readonly Dictionary<(string Verb, string Group, int Size), (long Calls, long Payload)> sums = [];

    public void Add(string verb, string group, int size, long calls, long payload)
    {
        if (calls == 0 || size == 1) return;
        var (c, p) = sums.GetValueOrDefault((verb, group, size));
        sums[(verb, group, size)] = (c + calls, p + payload);
    }

    public IReadOnlyList<CollectiveTraffic> ToList() =>
        [.. sums.Select(s => new CollectiveTraffic(s.Key.Verb, s.Key.Group, s.Key.Size, s.Value.Calls, s.Value.Payload)).OrderBy(t => t.Group, StringComparer.Ordinal).ThenBy(t => t.Verb, StringComparer.Ordinal)];
}
