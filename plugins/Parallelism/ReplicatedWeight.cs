using TorchSharp.Modules;
using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.Parallelism;

/// <summary>A weight that every rank holds, and whose gradient is summed over the ranks.</summary>
internal sealed class ReplicatedWeight : IReducedWeight
{
    private readonly IWeightSource inner;
    private readonly GradientReduction gradients;

    public ReplicatedWeight(IWeightSource inner, GradientReduction gradients, ParallelizationContext context)
    {
        (this.inner, this.gradients) = (inner, gradients);
        using var none = no_grad();
        Parameter = new Parameter(empty(inner.Parameter.shape, dtype: inner.Parameter.dtype, device: context.Device), inner.Parameter.requires_grad);
        Rows = new RowShards(Parameter.shape[0], Parameter.shape[0]);
        Replicas = inner.Replicas * context.Group.Size;
    }

    public Parameter Parameter { get; }

    public RowShards Rows { get; }

    public Tensor Turned(Tensor gradient) => gradient.alias();

    public ShardLayout Layout => inner.Layout;

    public int Replicas { get; }

    public bool IsTied => inner.IsTied;

    public IProcessGroup? PartsGroup => inner.PartsGroup;

    public Tensor Gather(ScalarType type)
    {
        using var none = no_grad();
        return Parameter.dtype == type ? Parameter.alias() : Parameter.to(type);
    }

    public Tensor? ReduceGradient(Tensor gradient)
    {
        using var scope = NewDisposeScope();
        if (inner.ReduceGradient(gradient) is { } reduced) gradients.Deliver(this, reduced);
        return null;
    }
}
