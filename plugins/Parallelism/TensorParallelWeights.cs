using TorchSharp.Modules;
using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.Parallelism;

/// <summary>A part of a weight that stays where it is: the activations travel.</summary>
internal sealed class SplitWeight(Parameter parameter, ShardLayout layout, int copies, IProcessGroup group) : IWeightSource
{
    private readonly ParameterSource own = new(parameter, layout, copies);

    public Parameter Parameter => own.Parameter;

    public ShardLayout Layout => own.Layout;

    public int Copies => own.Copies;

    public Tensor Gather(ScalarType type) => own.Gather(type);

    public Tensor ReduceGradient(Tensor gradient) => own.ReduceGradient(gradient);

    public Tensor ReduceAmax(Tensor amax) => group.Max(amax);

    public IWeightSource Over(Parameter other) => new SplitWeight(other, Layout, Copies, group);
}

/// <summary>A weight that every rank has, of a layer that sees a part of the sequence: its gradient is the sum over the parts.</summary>
internal sealed class ReplicatedWeight(Parameter parameter, ShardLayout layout, int copies, IProcessGroup group) : IWeightSource
{
    private readonly ParameterSource own = new(parameter, layout, copies);

    public Parameter Parameter => own.Parameter;

    public ShardLayout Layout => own.Layout;

    public int Copies => own.Copies;

    public Tensor Gather(ScalarType type) => own.Gather(type);

    public Tensor ReduceGradient(Tensor gradient)
    {
        using var none = no_grad();
        using var wide = gradient.to(ScalarType.Float32);
        var sum = wide.clone();
        group.AllReduce(sum, ReduceOperation.Sum);
        return sum;
    }

    public IWeightSource Over(Parameter other) => new ReplicatedWeight(other, Layout, Copies, group);
}
