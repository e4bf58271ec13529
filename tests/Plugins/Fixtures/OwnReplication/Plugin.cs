using System.ComponentModel;
using TorchSharp.Modules;

public sealed record ReplicationOptions
{
    [Description("Leaves the norms out of its plan.")]
    public bool AcmeForgetsNorms { get; init; }
}

/// <summary>Sums gradients over replicas in another way than the shipped plugin: weight by weight, as they come.</summary>
[ExportParallelism(MeshAxis.DataParallelReplicate, Summary = "weight by weight")]
public sealed class Plugin : IParallelism
{
    public Type OptionsType => typeof(ReplicationOptions);

    public ParallelismPlan Plan(ParallelizationContext context) => new(
    [
        .. ModelParameters.Layers(context.Model).Where(l => l.Layer is not RmsNorm || !((ReplicationOptions)context.Options).AcmeForgetsNorms)
            .Select(l => PlannedCollective.AllReduce(context.Group, l.Layer.Weight.Parameter.numel(), context.Step.MicroBatches, StepPhase.Backward, "gradients")),
    ]);

    public IAppliedParallelism Apply(ParallelizationContext context)
    {
        foreach (var (_, module, layer) in ModelParameters.Layers(context.Model)) ModelParameters.SetWeight(module, new Replica(layer.Weight.Parameter, context.Group));
        return new Applied();
    }

    private sealed class Applied : IAppliedParallelism
    {
        public IReadOnlyList<string> Notes => ["every gradient by itself"];
    }

    private sealed class Replica(Parameter parameter, IProcessGroup group) : IWeightSource
    {
        private readonly ParameterSource own = new(parameter, null, group.Size);

        public Parameter Parameter => own.Parameter;

        public int Replicas => group.Size;

        public Tensor Gather(ScalarType type) => own.Gather(type);

        public Tensor ReduceGradient(Tensor gradient)
        {
            using var none = no_grad();
            var sum = gradient.to(ScalarType.Float32, copy: true);
            group.AllReduce(sum, ReduceOperation.Sum);
            return sum;
        }

        public IWeightSource Over(Parameter other) => new Replica(other, group);
    }
}
