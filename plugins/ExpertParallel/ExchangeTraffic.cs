using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.ExpertParallel;

/// <summary>
/// What the mixtures of a model exchange in a step, planned for routers that send every expert as many rows, and how far a step was from that. What a rank sends is known: its own rows. What it sends back is
/// what it got.
/// </summary>
/// <param name="planned">Bytes of rows in a step.</param>
internal sealed class ExchangeTraffic(long planned)
{
    private const string Rows = "rows of experts";

    private long noted;

    /// <summary>Rows are sent.</summary>
    /// <param name="bytes">By the routers' counts.</param>
    public void Note(long bytes) => noted += bytes;

    /// <summary>Bytes beyond the plan since the last call.</summary>
    public long Take()
    {
        var beyond = noted - planned;
        noted = 0;
        return beyond;
    }

    /// <summary>A mixture's exchange in a step.</summary>
    /// <param name="group">The ranks that share the experts.</param>
    /// <param name="mixture">The mixture.</param>
    /// <param name="share">Which rows this rank sends.</param>
    /// <param name="step">What a step computes.</param>
    /// <param name="type">Compute dtype.</param>
    /// <param name="wires">How rows and gradients travel.</param>
    public static IEnumerable<PlannedCollective> Plan(IProcessGroup group, Mixture mixture, RowShare share, StepShape step, ScalarType type, RowWires wires)
    {
        var rows = share.OfRows(step.Tokens * mixture.Layer.TopK).Length;
        var again = step.IsRecomputed(mixture.Fqn);
        var plain = new[] { (type, RowWire.PlainBytes(mixture.Features, type)) };
        // Computed again, the first pass keeps nothing for backward.
        foreach (var sent in Forward(StepPhase.Forward, forBackward: !again)) yield return sent;
        if (again) foreach (var sent in Forward(StepPhase.Backward, forBackward: true)) yield return sent;
        var passes = step.NeedsInputGradient(mixture.ExpertsFqn);
        if (passes || mixture.IsTrained) foreach (var sent in Of(wires.Gradient(mixture.Features, type, CPU).Row(mixture.Features, type), StepPhase.Backward)) yield return sent;
        if (passes) foreach (var sent in Of(plain, StepPhase.Backward)) yield return sent;

        IEnumerable<PlannedCollective> Forward(StepPhase when, bool forBackward) =>
        [
            new PlannedCollective(group, CollectiveVerb.AllToAll, [new PlannedTensor(ScalarType.Int64, 8L * mixture.Layer.Count / group.Size)], step.MicroBatches, when, "counts of experts"),
            .. Of(wires.Rows(mixture.Features, type, CPU, forBackward).Row(mixture.Features, type), when),
            .. Of(plain, when),
        ];

        // Each plane is a message of its own.
        IEnumerable<PlannedCollective> Of(IReadOnlyList<(ScalarType Type, long Bytes)> row, StepPhase when) =>
            row.Select(p => new PlannedCollective(group, CollectiveVerb.AllToAll, [new PlannedTensor(p.Type, rows * p.Bytes / group.Size)], step.MicroBatches, when, Rows));
    }

    /// <summary>Of what was planned, the rows.</summary>
    public static long BytesOfRows(IEnumerable<PlannedCollective> plan) => plan.Where(c => c.For == Rows).Sum(c => c.Calls * c.PayloadBytes);
}
