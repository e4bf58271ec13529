using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.ContextParallel;

/// <summary>Gathers the keys and values of all ranks, in forward and again in backward; their gradients are reduce-scattered in fp32.</summary>
internal sealed class GatheredKeys(IProcessGroup group) : Rotation(group)
{
    /// <inheritdoc />
    public override void Forward(Tensor own, Action<int, Tensor> visit)
    {
        using var scope = NewDisposeScope();
        var all = Gather(own);
        for (var rank = 0; rank < Group.Size; rank++) visit(rank, all[rank]);
    }

    /// <inheritdoc />
    public override Tensor Backward(Tensor own, Action<int, Tensor, Tensor> visit)
    {
        using var scope = NewDisposeScope();
        var all = Gather(own);
        var gradients = zeros(all.shape, dtype: ScalarType.Float32, device: own.device);
        for (var rank = 0; rank < Group.Size; rank++) visit(rank, all[rank], gradients[rank]);
        all.Dispose();
        var sum = empty(own.shape, dtype: ScalarType.Float32, device: own.device);
        Group.ReduceScatterTensor(sum, gradients.view([-1, .. own.shape[1..]]));
        return sum.MoveToOuterDisposeScope();
    }

    /// <inheritdoc />
    public override IEnumerable<(string Verb, PlannedTensor Tensor, int Times)> PlanForward(long elements, ScalarType type) =>
        [(CollectiveVerb.AllGather, new PlannedTensor(type, elements * Size(type)), 1)];

    /// <inheritdoc />
    public override IEnumerable<(string Verb, PlannedTensor Tensor, int Times)> PlanBackward(long elements, ScalarType type) =>
        [.. PlanForward(elements, type), (CollectiveVerb.ReduceScatter, PlannedTensor.Float32(elements), 1)];

    /// <inheritdoc />
    public override long HeldBytes(long elements, ScalarType type) => elements * Group.Size * (Size(type) + 4);

    /// <summary>[ranks, 2, B, KV, s, D].</summary>
    private Tensor Gather(Tensor own)
    {
        var all = empty([Group.Size, .. own.shape], dtype: own.dtype, device: own.device);
        Group.AllGatherIntoTensor(all.view([-1, .. own.shape[1..]]), own);
        return all;
    }
}
