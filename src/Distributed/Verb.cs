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
}

internal static class VerbNames
{
    /// <summary>c10d's name.</summary>
    public static string Text(this Verb verb) => verb switch
    {
        Verb.AllGatherIntoTensor => "all_gather_into_tensor",
        Verb.ReduceScatterTensor => "reduce_scatter_tensor",
        Verb.AllReduce => "all_reduce",
        Verb.Broadcast => "broadcast",
        Verb.AllToAllSingle => "all_to_all_single",
        Verb.Barrier => "barrier",
        _ => "nothing",
    };
}
