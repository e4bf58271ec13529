using Titan.Abstractions;
using Titan.Training.Checkpoints;
using static TorchSharp.torch;

namespace Titan.Training.Adapters;

/// <summary>The numbers of low-rank adapters, whichever part of them a rank holds.</summary>
internal static class AdapterWeights
{
    /// <summary>A and B of all adapters, whole, on every rank: they are small. All ranks call it.</summary>
    /// <param name="adapters">The adapters.</param>
    /// <param name="parameters">The parts that this rank holds.</param>
    /// <param name="world">All ranks, in a group that carries CPU tensors.</param>
    /// <returns>By FQN, fp32, on the CPU; owned by the caller.</returns>
    public static IReadOnlyDictionary<string, Tensor> Gather(IReadOnlyList<LowRankAdapter> adapters, IReadOnlyList<ModelParameter> parameters, IProcessGroup world)
    {
        using var none = no_grad();
        var of = parameters.ToDictionary(p => p.Fqn);
        return adapters.SelectMany(a => new[] { a.A, a.B }).ToDictionary(fqn => fqn, fqn => Whole(of[fqn], world));
    }

    /// <summary>W + scale · B A, of the part of W that this rank holds.</summary>
    /// <param name="weight">The part of W [N, K].</param>
    /// <param name="adapter">Its adapter.</param>
    /// <param name="wholes">A and B by FQN.</param>
    /// <returns>The part, of W's dtype, on the CPU.</returns>
    public static TensorPart Merge(TensorPart weight, LowRankAdapter adapter, IReadOnlyDictionary<string, Tensor> wholes)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        var (offset, shape) = (weight.Layout.Offset, weight.Layout.Shape);
        var a = wholes[adapter.A].narrow(1, offset[1], shape[1]);
        var b = wholes[adapter.B].narrow(0, offset[0], shape[0]);
        var merged = weight.Tensor.detach().cpu().to(ScalarType.Float32) + adapter.Scale * b.matmul(a);
        return weight with { Tensor = merged.to(weight.Tensor.dtype).MoveToOuterDisposeScope() };
    }

    private static Tensor Whole(ModelParameter parameter, IProcessGroup world)
    {
        using var scope = NewDisposeScope();
        // The largest of a number and minus infinity is the number, to the bit, however many ranks hold it.
        var whole = full([.. parameter.Layout.GlobalShape], double.NegativeInfinity, ScalarType.Float32);
        parameter.Layout.Of(whole).copy_(parameter.Parameter);
        if (world.Size > 1) world.AllReduce(whole, ReduceOperation.Max);
        return whole.MoveToOuterDisposeScope();
    }
}
