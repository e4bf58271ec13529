using Titan.Abstractions;

namespace Titan.Plugins.ExpertParallel;

/// <summary>
/// Expert parallel (GShard, Lepikhin et al., 2020): each rank has some of a mixture's experts, and tokens travel to them. It takes its ranks from those of <c>dp_shard</c>, <c>cp</c> and, where an expert is not
/// split, <c>tp</c>. <c>dp_shard</c>'s parallelism shards the experts over the ranks that hold the same ones (<c>dp_mod_ep</c>).
/// </summary>
[ExportParallelism(MeshAxis.ExpertParallel, Status = ExportStatus.Alpha, Summary = "shares the experts of a mixture over ranks; rows travel to them, as the bytes that their recipe makes of them where it can")]
public sealed class ExpertParallel : IParallelism
{
    /// <inheritdoc />
    public Type OptionsType => typeof(ExpertParallelOptions);

    /// <inheritdoc />
    public ParallelismPlan Plan(ParallelizationContext context)
    {
        var mixtures = Mixture.Of(context);
        var rows = context.Step.Tokens * mixtures.Max(m => m.Layer.TopK * RowWire.PlainBytes(m.Features, context.ParamType)) / RowShare.Of(context.Mesh).Count;
        return new ParallelismPlan(Sent(mixtures, context))
        {
            // As they arrive, and as they lie expert by expert.
            Memory = new Dictionary<string, long> { ["rows of experts"] = 2 * rows },
            MemoryNotes = ["rows of experts: those of one mixture that arrive and lie here, for routers that send every expert as many; planned bytes of their exchange rest on the same, and a run says how far it is from that"],
        };
    }

    /// <inheritdoc />
    public IAppliedParallelism Apply(ParallelizationContext context)
    {
        var mixtures = Mixture.Of(context);
        var group = context.Group;
        var share = RowShare.Of(context.Mesh);
        var traffic = new ExchangeTraffic(ExchangeTraffic.BytesOfRows(Sent(mixtures, context)));
        foreach (var mixture in mixtures)
        {
            mixture.Narrow(group);
            mixture.Layer.Exchange = new RowExchange(group, share, RowWires.Of(mixture.Layer.Experts), traffic);
        }

        return new SharedExperts(group, traffic, Describe(mixtures, context));
    }

    private static List<PlannedCollective> Sent(IReadOnlyList<Mixture> mixtures, ParallelizationContext context) =>
        [.. mixtures.SelectMany(m => ExchangeTraffic.Plan(context.Group, m, RowShare.Of(context.Mesh), context.Step, context.ParamType, RowWires.Of(m.Layer.Experts)))];

    private static string Describe(IReadOnlyList<Mixture> mixtures, ParallelizationContext context)
    {
        var first = mixtures[0];
        return $"expert parallel over {context.Group.Size} ranks: {first.Layer.Count / context.Group.Size} of {first.Layer.Count} experts of {mixtures.Count} mixtures on each; " +
            $"rows travel in {Travels(first.Layer.Experts.Matmul.RowCodec)}, gradients of results in {Travels(first.Layer.Experts.Matmul.GradientCodec)}, what comes back in the compute dtype";

        string Travels(IActivationCodec? codec) =>
            RowWire.Of(codec, first.Features, context.ParamType, TorchSharp.torch.CPU, forBackward: true).IsEncoded ? codec!.Describe(forBackward: true) : "the compute dtype";
    }

    private sealed class SharedExperts(IProcessGroup group, ExchangeTraffic traffic, string note) : IAppliedParallelism
    {
        public IReadOnlyList<string> Notes => [note];

        public IReadOnlyList<UnplannedBytes> TakeUnplanned() => [new UnplannedBytes(group.Name, CollectiveVerb.AllToAll, traffic.Take())];
    }
}
