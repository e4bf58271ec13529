using Titan.Abstractions;

namespace Titan.Quantization.Linear;

/// <summary>
/// What converted layers reduce themselves where other ranks hold other parts of their weights: an amax for each cast with one scale for a tensor of which every rank has a
/// part. The amaxes of what travels encoded are reduced by who sends it.
/// </summary>
internal static class AmaxPlan
{
    /// <summary>The reductions of a step.</summary>
    /// <param name="layers">The layers, as the parallelisms left them.</param>
    /// <param name="recipe">Their recipe.</param>
    /// <param name="step">What a step computes.</param>
    public static IReadOnlyList<PlannedCollective> Of(IReadOnlyList<QuantizedLinear> layers, LinearRecipe recipe, StepShape step)
    {
        var plan = new List<PlannedCollective>();
        foreach (var parts in layers.GroupBy(l => l.Weight.PartsGroup))
        {
            if (parts.Key is not { } group) continue;
            // Weights that stay are reduced together, see WeightAmaxes.
            var staying = parts.Count(l => l.HasResidentWeight) * Math.Max(One(recipe.Output.Right), One(recipe.GradInput.Right));
            if (staying > 0) plan.Add(PlannedCollective.AllReduce(group, staying, 1, StepPhase.Optimizer, "amaxes of weights"));
            foreach (var layer in parts) plan.AddRange(Of(layer, recipe, group, step));
        }

        return plan;
    }

    private static IEnumerable<PlannedCollective> Of(QuantizedLinear layer, LinearRecipe recipe, IProcessGroup group, StepShape step)
    {
        int forward = 0, backward = 0, again = step.IsRecomputed(layer.Fqn) ? 1 : 0;
        bool needsInput = step.NeedsInputGradient(layer.Fqn), isTrained = layer.Weight.Parameter.requires_grad;
        if (layer.SplitsInput)
        {
            forward += One(recipe.Output.Left);
            backward += again * One(recipe.Output.Left);
            if (isTrained && recipe.GradWeight.Right != recipe.Output.Left) backward += One(recipe.GradWeight.Right);
        }

        if (layer.SplitsOutput)
        {
            if (needsInput || isTrained && recipe.GradWeight.Left == recipe.GradInput.Left) backward += One(recipe.GradInput.Left);
            if (isTrained && recipe.GradWeight.Left != recipe.GradInput.Left) backward += One(recipe.GradWeight.Left);
        }

        // A weight that is gathered in high precision is looked at for each cast.
        if (layer is { HasResidentWeight: false, Weight.IsEncoded: false })
        {
            forward += One(recipe.Output.Right);
            backward += again * One(recipe.Output.Right) + (needsInput ? One(recipe.GradInput.Right) : 0);
        }

        if (forward > 0) yield return PlannedCollective.AllReduce(group, 1, forward * step.MicroBatches, StepPhase.Forward, "amaxes of casts");
        if (backward > 0) yield return PlannedCollective.AllReduce(group, 1, backward * step.MicroBatches, StepPhase.Backward, "amaxes of casts");
    }

    private static int One(OperandCast cast) => LinearEngine.IsSameBothWays(cast) ? 1 : 0;
}
