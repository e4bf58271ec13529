using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Models;

/// <summary>
/// A mixture of experts. Tokens are copied to rows, K each, sorted by expert; each expert multiplies its rows; rows are put back and a token's K results are added in their order.
/// <code>
/// tokens [T, D] -> router -> rows [N, D] sorted -> (ranks of the experts) -> experts -> back -> [T, K, D] -> sum over K -> + shared(tokens)
/// </code>
/// </summary>
internal sealed class MixtureOfExperts : Sublayer, IExpertLayer, IBufferOwner
{
    private readonly MoeArgs args;
    private readonly Router router;
    private readonly ExpertBank experts;
    private readonly Sublayer? shared_experts;

    public MixtureOfExperts(MoeArgs args, long dimension, ModelContext context) : base("MoE")
    {
        this.args = args;
        experts = args.Experts.Create(args.Router.Experts, dimension, context);
        router = new Router(args.Router, dimension, context);
        register_module("experts", experts);
        register_module("router", router);
        if (args.Shared is { } shared) register_module("shared_experts", shared_experts = shared.Create(dimension, context));
        Load = new ExpertLoad(args.Router.Experts, args.LoadBalance);
        if (context.Device.type != TorchSharp.DeviceType.META)
            foreach (var buffer in Buffers) buffer.Materialize(context.Device);
    }

    public int Count => args.Router.Experts;

    public int TopK => args.Router.TopK;

    public IGroupedLayer Experts => experts;

    public IExpertExchange? Exchange { get; set; }

    /// <summary>How often each expert was chosen, and the bias that follows from it.</summary>
    public ExpertLoad Load { get; }

    public IReadOnlyList<BufferSlot> Buffers => Load.Buffers;

    // The layers are in slots of the router and of the shared experts.
    public override IReadOnlyList<ModuleSlot> Slots => [];

    public override bool WantsInputAmax => shared_experts is { WantsInputAmax: true };

    /// <summary>
    /// Every rank routes all tokens. What it gives is a partial sum: of experts that are split, or of the rows that it sends to whole ones. So the gradients of scores and tokens are partial too, and the
    /// gate's, which is whole, is summed.
    /// </summary>
    public override SublayerSplit Split => new(
        [
            .. experts.Split.Select(w => ($"experts.{w.Name}", w.Style)), ("router.gate", TensorParallelStyle.SequenceParallel),
            .. shared_experts?.Split.Layers.Select(l => ($"shared_experts.{l.Name}", l.Style)) ?? [],
        ],
        ["router.gate", .. shared_experts?.Split.Readers.Select(r => $"shared_experts.{r}") ?? []], "experts");

    protected override Activation Compute(Activation x, BlockContext context)
    {
        var shape = x.Values.shape;
        var tokens = x.Values.reshape(-1, shape[^1]);
        var routing = context.Choices.Of(this, known => router.Route(tokens, Load.Bias, known), Load.Add);
        var routed = new RoutedRows(routing.Experts, Count);
        var rows = routed.Sort(tokens);
        if (args.ScoreBeforeExperts) rows = WeightedSum.Of(rows.unsqueeze(1), routed.Sorted(routing.Scores));
        var exchange = Exchange ?? PaddedRows.Instance;
        var dispatched = exchange.Dispatch(rows, routed.Counts, experts.Matmul.RowMultiple);
        // They compute while rows travel.
        var shared = shared_experts?.Forward(x, context).Values;
        using (var here = dispatched.Rows)
        {
            var results = routed.Unsort(exchange.Combine(experts.Forward(here, dispatched.Groups), dispatched));
            var sum = !args.ScoreBeforeExperts ? WeightedSum.Of(results, routing.Scores) : TopK == 1 ? results.squeeze(1) : results.sum(1);
            sum = sum.view(shape);
            return new Activation(shared is null ? sum : shared + sum);
        }
    }
}
