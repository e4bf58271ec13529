using Titan.Abstractions;
using Titan.Models;
using static TorchSharp.torch;

namespace Titan.Training.Parallel;

/// <summary>The weights that are gathered together: what comes before the blocks, each transformer block, what comes after them.</summary>
/// <param name="Name">FQN of the block; empty outside of blocks.</param>
/// <param name="Weights">Its weights, in the order of forward.</param>
/// <param name="Checkpointing">What is computed again in backward, and so asks again as forward does.</param>
public sealed record PlannedUnit(string Name, IReadOnlyList<PlannedWeight> Weights, BlockCheckpointing Checkpointing)
{
    /// <summary>The uses that backward asks for.</summary>
    private HashSet<WeightUse> AskedInBackward
    {
        get
        {
            HashSet<WeightUse> asked = [.. Weights.Select(w => w.BackwardUse).OfType<WeightUse>()];
            if (Checkpointing != BlockCheckpointing.None) asked.Add(WeightUse.Output);
            return asked;
        }
    }

    /// <summary>One gather in forward: every weight, for its first matmul.</summary>
    public long ForwardBytes(ScalarType type) => Weights.Sum(w => w.GatheredBytes(WeightUse.Output, type));

    /// <summary>The gathers of backward: one for each use that needs a form which is not there.</summary>
    /// <param name="type">Dtype of what is not encoded.</param>
    /// <param name="kept">Whether what forward gathered is still there.</param>
    public (int Calls, long Bytes) Backward(ScalarType type, bool kept)
    {
        var forms = BackwardForms(kept);
        return (forms.Count, forms.Sum(call => call.Sum(w => w.Weight.GatheredBytes(w.Form, type))));
    }

    /// <summary>Every gather of a pass, first that of forward: the bytes of this rank's part of each tensor in it.</summary>
    /// <param name="type">Dtype of what is not encoded.</param>
    /// <param name="kept">Whether what forward gathered is still there in backward.</param>
    public IReadOnlyList<IReadOnlyList<long>> Gathers(ScalarType type, bool kept) =>
        [.. BackwardForms(kept).Prepend([.. Weights.Select(w => (w, w.Form(WeightUse.Output)))]).Select(call => (IReadOnlyList<long>)[.. call.SelectMany(w => w.Weight.ShardBytes(w.Form, type))])];

    private List<List<(PlannedWeight Weight, WeightUse Form)>> BackwardForms(bool kept)
    {
        var held = kept ? Weights.Select(w => (w, Form: WeightUse.Output)).ToHashSet() : [];
        return [.. AskedInBackward.Select(use => Weights.Select(w => (w, w.Form(use))).Where(held.Add).ToList()).Where(missing => missing.Count > 0)];
    }

    /// <summary>Everything that is ever held of the unit at once.</summary>
    public long HeldBytes(ScalarType type) => Math.Max(ForwardBytes(type), Backward(type, kept: false).Bytes);

    /// <summary>fp32 gradients of the whole weights, filled up.</summary>
    public long GradientElements => Weights.Sum(w => w.PaddedElements);

    /// <summary>The amaxes that are reduced together.</summary>
    public long AmaxLength => Weights.Sum(w => w.AmaxLength(WeightUse.Output) + w.AmaxLength(WeightUse.GradInput));
}
