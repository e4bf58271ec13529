using TorchSharp.Modules;
using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.ExpertParallel;

/// <summary>The weights of the experts that are here. The rows of all ranks come to them, so the gradient needs no sum over the ranks that share the experts.</summary>
internal sealed class LocalExperts(Parameter parameter, ShardLayout layout, int replicas, IProcessGroup? parts) : IWeightSource
{
    private readonly ParameterSource own = new(parameter, layout, replicas);

    public Parameter Parameter => own.Parameter;

    public ShardLayout Layout => own.Layout;

    public int Replicas => own.Replicas;

    public IProcessGroup? PartsGroup => parts;

    public Tensor Gather(ScalarType type) => own.Gather(type);

    public Tensor ReduceGradient(Tensor gradient) => own.ReduceGradient(gradient);

    public IWeightSource Over(Parameter other) => new LocalExperts(other, Layout, Replicas, parts);
}
