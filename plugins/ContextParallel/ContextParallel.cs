using Titan.Abstractions;

namespace Titan.Plugins.ContextParallel;

/// <summary>
/// Context parallel: the ranks share each sequence, so that its activations are, too. Everything but attention takes a token by itself; attention gets the keys and values of the other
/// ranks, gathered or round a ring. The ranks have the same parameters, over which <c>dp_shard</c>'s parallelism sums and shards their gradients.
/// </summary>
[ExportParallelism(MeshAxis.ContextParallel, Status = ExportStatus.Alpha, Summary = "shares each sequence over ranks; keys and values are gathered, or go round a ring")]
public sealed class ContextParallel : IParallelism
{
    /// <inheritdoc />
    public Type OptionsType => typeof(ContextParallelOptions);

    /// <inheritdoc />
    public ParallelismPlan Plan(ParallelizationContext context)
    {
        var rotation = RotationOf(context);
        var step = context.Step;
        var sent = new List<PlannedCollective>();
        long held = 0;
        foreach (var (fqn, layer) in LayersOf(context))
        {
            // Keys and values.
            var elements = 2 * step.Tokens * layer.Shape.KvHeads * layer.Shape.HeadDimension;
            Add(rotation.PlanForward(elements, context.ParamType), StepPhase.Forward);
            if (step.IsRecomputed(fqn)) Add(rotation.PlanForward(elements, context.ParamType), StepPhase.Backward);
            Add(rotation.PlanBackward(elements, context.ParamType), StepPhase.Backward);
            var tile = BlockAttention.ScoresOf(step.LocalBatchSize, layer.Shape.Heads, step.SequenceLength / 2);
            held = Math.Max(held, rotation.HeldBytes(elements, context.ParamType) + BlockAttention.TileTensors * 4 * tile);
        }

        return new ParallelismPlan(sent)
        {
            Memory = new Dictionary<string, long> { ["context"] = held },
            MemoryNotes = ["context: keys and values of other ranks and their gradients, for one layer, and a tile of scores"],
        };

        void Add(IEnumerable<(string Verb, PlannedTensor Tensor, int Times)> messages, StepPhase when) =>
            sent.AddRange(messages.Select(m => new PlannedCollective(context.Group, m.Verb, [m.Tensor], m.Times * step.MicroBatches, when, "keys and values")));
    }

    /// <inheritdoc />
    public IAppliedParallelism Apply(ParallelizationContext context)
    {
        var rotation = RotationOf(context);
        var group = context.Group;
        var pieces = new SequencePieces(group.Size);
        foreach (var (_, layer) in LayersOf(context))
        {
            var shape = layer.Shape;
            layer.AttendOverRanks = (q, k, v) => SharedAttention.Apply(q, k, v, shape, rotation, pieces, group.Rank);
        }

        return new SharedSequences(group, pieces,
            $"context parallel over {group.Size} ranks, each with a piece from the head and one from the tail of a sequence; keys and values " +
            (((ContextParallelOptions)context.Options).ContextParallelRotateMethod == RotateMethod.Allgather ? "are gathered" : "go round a ring"));
    }

    private static Rotation RotationOf(ParallelizationContext context) => Rotation.Of(((ContextParallelOptions)context.Options).ContextParallelRotateMethod, context.Group);

    private static IReadOnlyList<(string Fqn, IAttentionLayer Layer)> LayersOf(ParallelizationContext context)
    {
        if (context.Model is IContextParallelModel model) return model.AttentionLayers;
        throw new TitanException(ExitCode.Usage,
            $"model {context.Model.GetName()} does not say where its tokens look at each other (IContextParallelModel); set {MeshAxis.ContextParallel.DegreeKey()} = 1");
    }
}
