using static TorchSharp.torch;

namespace Titan.Training.Parallel;

/// <summary>The calls of one verb of one group in a training step, each by itself.</summary>
/// <param name="Verb">c10d's name.</param>
/// <param name="Group">Name of the group.</param>
/// <param name="Calls">For each call the bytes of this rank's part of every tensor in it. All-gather: of the inputs; reduce-scatter: of the outputs; all-reduce: of the tensor.</param>
public sealed record StepCollectives(string Verb, string Group, IReadOnlyList<IReadOnlyList<long>> Calls)
{
    /// <summary>
    /// The calls of a step. What FSDP gathers and scatters is as in the run, a call for each unit with all its tensors; of the rest only number and sum are known, so its calls are alike.
    /// </summary>
    /// <param name="plan">What travels.</param>
    /// <param name="type">Dtype of weights that do not travel encoded.</param>
    /// <param name="reshard">Whether forward drops what it gathered.</param>
    /// <param name="microBatches">Forward and backward passes of a step.</param>
    public static IReadOnlyList<StepCollectives> Of(WirePlan plan, ScalarType type, bool reshard, int microBatches)
    {
        var all = new List<StepCollectives>();
        foreach (var traffic in plan.Collectives)
        {
            var ofUnits = traffic.Group != "dp_shard" ? null : traffic.Verb switch
            {
                CollectiveTraffic.AllGather => plan.Units.SelectMany((u, i) => u.Gathers(type, kept: !reshard || i == plan.Units.Count - 1)),
                CollectiveTraffic.ReduceScatter => plan.Units.Select(u => (IReadOnlyList<long>)[.. u.Weights.Select(w => w.PaddedElements / w.Ranks * 4)]),
                _ => null,
            };
            var calls = ofUnits is not null
                ? Enumerable.Repeat(ofUnits.ToList(), microBatches).SelectMany(c => c).ToList()
                : [.. Enumerable.Repeat<IReadOnlyList<long>>([Math.Max(4, traffic.PayloadBytes / traffic.Calls / (traffic.Verb == CollectiveTraffic.AllReduce ? 1 : traffic.Size) / 4 * 4)], (int)traffic.Calls)];
            all.Add(new StepCollectives(traffic.Verb, traffic.Group, calls));
        }

        return all;
    }
}
