using TorchSharp.Modules;
using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.Parallelism;

/// <summary>A weight that stays where it is: the activations travel.</summary>
internal abstract class ResidentWeight(Parameter parameter, ShardLayout layout, int replicas) : IWeightSource
{
    private readonly ParameterSource own = new(parameter, layout, replicas);

    public Parameter Parameter => own.Parameter;

    public ShardLayout Layout => own.Layout;

    public int Replicas => own.Replicas;

    public Tensor Gather(ScalarType type) => own.Gather(type);

    public virtual Tensor ReduceGradient(Tensor gradient) => own.ReduceGradient(gradient);

    public virtual IProcessGroup? PartsGroup => null;

    public abstract IWeightSource Over(Parameter other);
}

/// <summary>A part of a weight, of a layer that is split: a scale for the whole tensor needs the amax of all parts.</summary>
internal sealed class SplitWeight(Parameter parameter, ShardLayout layout, int replicas, IProcessGroup group) : ResidentWeight(parameter, layout, replicas)
{
    public override IProcessGroup PartsGroup => group;

    public override IWeightSource Over(Parameter other) => new SplitWeight(other, Layout, Replicas, group);
}

/// <summary>A whole weight, of a layer that sees a part of the sequence: its gradient is the sum over the parts.</summary>
internal sealed class SequenceParallelWeight(Parameter parameter, ShardLayout layout, int replicas, IProcessGroup group) : ResidentWeight(parameter, layout, replicas)
{
    public override Tensor ReduceGradient(Tensor gradient)
    {
        using var none = no_grad();
        using var wide = gradient.to(ScalarType.Float32);
        var sum = wide.clone();
        group.AllReduce(sum, ReduceOperation.Sum);
        return sum;
    }

    public override IWeightSource Over(Parameter other) => new SequenceParallelWeight(other, Layout, Replicas, group);
}
