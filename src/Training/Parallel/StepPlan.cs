using Titan.Abstractions;
using Titan.Training.Losses;

namespace Titan.Training.Parallel;

/// <summary>
/// What a job's ranks send each other in a steady step: the sum of what its parallelisms, its converted layers and its loss say that they will send. Not in it: the loss,
/// norm and token counts that the trainer sums over all ranks (a few bytes), checkpoints, validation.
/// </summary>
/// <param name="Collectives">Each with who planned it.</param>
public sealed record StepPlan(IReadOnlyList<(string Owner, PlannedCollective Collective)> Collectives)
{
    /// <summary>By group and verb.</summary>
    public IReadOnlyList<CollectiveTraffic> Traffic =>
    [
        .. Collectives.Select(c => c.Collective).Where(c => c.Calls > 0 && c.Group.Size > 1).GroupBy(c => (c.Verb, c.Group.Name, c.Group.Size))
            .Select(g => new CollectiveTraffic(g.Key.Verb, g.Key.Name, g.Key.Size, g.Sum(c => (long)c.Calls), g.Sum(c => c.Calls * c.PayloadBytes)))
            .OrderBy(t => t.Group, StringComparer.Ordinal).ThenBy(t => t.Verb, StringComparer.Ordinal),
    ];

    /// <summary>Adds up.</summary>
    /// <param name="parallelisms">The parallelisms, applied.</param>
    /// <param name="conversions">What the converters made of the model.</param>
    public static StepPlan Of(AppliedParallelisms parallelisms, IReadOnlyList<IModelConversion> conversions) => new(
    [
        .. parallelisms.Plans.SelectMany(p => p.Plan.Collectives.Select(c => (p.Owner, c))),
        .. conversions.SelectMany(c => c.Plan(parallelisms.Step).Select(p => (c.Report.Converter, p))),
        .. parallelisms.VocabularyGroup is { } group ? VocabularyParallelCrossEntropy.Plan(group, parallelisms.Step).Select(p => ("the loss", p)) : [],
    ]);

    /// <summary>Who planned something for a group and verb, or, where nobody did, for the group.</summary>
    public IReadOnlyList<string> Owners(string group, string verb)
    {
        var ofGroup = Collectives.Where(c => c.Collective.Group.Name == group).ToList();
        var ofVerb = ofGroup.Where(c => c.Collective.Verb == verb).ToList();
        return [.. (ofVerb.Count > 0 ? ofVerb : ofGroup).Select(c => c.Owner).Distinct()];
    }
}
