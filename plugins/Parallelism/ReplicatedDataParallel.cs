using TorchSharp;
using TorchSharp.Modules;
using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.Parallelism;

/// <summary>
/// Replicated data parallel: gradients are summed over the replicas, a unit at a time while backward goes on. Over shards (HSDP) it sums the shards' gradients,
/// alone (DDP) those of whole weights.
/// </summary>
[ExportParallelism(MeshAxis.DataParallelReplicate, Status = ExportStatus.Stable, Summary = "sums gradients over replicas, alone (DDP) or over shards (HSDP)")]
public sealed class ReplicatedDataParallel : IParallelism
{
    private GradientReduction? own;

    /// <inheritdoc />
    public void Apply(ParallelizationContext context)
    {
        var units = Units.Of(context);
        var sharded = units.SelectMany(u => u).Select(l => l.Layer.Weight as ShardedWeight).OfType<ShardedWeight>().ToList();
        if (sharded.Count > 0)
        {
            sharded[0].Gradients.Replicas = context.Group;
            foreach (var weight in sharded) weight.Replicate(context.Group.Size);
            return;
        }

        own = new GradientReduction(null) { Replicas = context.Group };
        foreach (var unit in units)
        {
            var weights = unit.Select(l => Replicate(l.Module, l.Layer, context)).ToList();
            own.Add(weights);
        }
    }

    /// <inheritdoc />
    public void AfterBackward() => own?.Finish();

    private ReplicatedWeight Replicate(nn.Module module, IWeightedLayer layer, ParallelizationContext context)
    {
        var weight = new ReplicatedWeight(layer.Weight, own!, context);
        ModelParameters.SetWeight(module, weight);
        return weight;
    }

    /// <summary>A weight that every rank holds, and whose gradient is summed over the ranks.</summary>
    private sealed class ReplicatedWeight : IReducedWeight
    {
        private readonly IWeightSource inner;
        private readonly GradientReduction gradients;

        public ReplicatedWeight(IWeightSource inner, GradientReduction gradients, ParallelizationContext context)
        {
            (this.inner, this.gradients) = (inner, gradients);
            using var none = no_grad();
            Parameter = new Parameter(empty(inner.Parameter.shape, dtype: inner.Parameter.dtype, device: context.Device), inner.Parameter.requires_grad);
            Rows = new RowShards(Parameter.shape[0], Parameter.shape[0]);
            Copies = inner.Copies * context.Group.Size;
        }

        public Parameter Parameter { get; }

        public RowShards Rows { get; }

        public ShardLayout Layout => inner.Layout;

        public int Copies { get; }

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

        public IProcessGroup? PartsGroup => inner.PartsGroup;
    }
}
