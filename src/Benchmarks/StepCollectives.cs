using Titan.Training.Parallel;

namespace Titan.Benchmarks;

/// <summary>The calls of one verb of one group in a training step, each by itself.</summary>
/// <param name="Verb">c10d's name.</param>
/// <param name="Group">Name of the group.</param>
/// <param name="Calls">For each call the bytes of this rank's part of every tensor in it. All-gather: of the inputs; reduce-scatter: of the outputs; all-reduce: of the tensor.</param>
internal sealed record StepCollectives(string Verb, string Group, IReadOnlyList<IReadOnlyList<long>> Calls)
{
    /// <summary>The calls of a step.</summary>
    public static IReadOnlyList<StepCollectives> Of(StepPlan plan) =>
    [
        .. plan.Traffic.Select(t => new StepCollectives(t.Verb, t.Group,
        [
            .. plan.Collectives.Select(c => c.Collective).Where(c => c.Verb == t.Verb && c.Group.Name == t.Group)
                .SelectMany(c => Enumerable.Repeat<IReadOnlyList<long>>([.. c.Tensors.Select(x => x.Bytes)], c.Calls)),
        ])),
    ];
}
