using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Models;

/// <summary>What a router decided for T tokens.</summary>
/// <param name="Experts">int64 [T, K], the experts of each token, the best first; no gradient.</param>
/// <param name="Scores">fp32 [T, K], how much each counts.</param>
internal sealed record Routing(Tensor Experts, Tensor Scores);

/// <summary>Chooses the experts of each token: the K largest of score + bias, ties to the lower index. The bias decides who is chosen and nothing else, so gradients flow through scores alone.</summary>
internal sealed class Router : nn.Module, ISlotOwner
{
    private readonly RouterArgs args;
    private readonly bool isEven;
    private readonly ModuleSlot gate;

    public Router(RouterArgs args, long dimension, ModelContext context) : base(nameof(Router))
    {
        (this.args, isEven) = (args, context.ForceLoadBalance);
        // Small differences decide: the gate computes in fp32, so its weight does not travel rounded.
        gate = new ModuleSlot(this, "gate", new Linear(dimension, args.Experts, args.GateBias, context.Device, context.Type));
        foreach (var weight in ((IWeightedLayer)gate.Module).Weights) weight.TravelsWhole = true;
    }

    public IReadOnlyList<ModuleSlot> Slots => [gate];

    /// <summary>Routes tokens.</summary>
    /// <param name="x">[T, D].</param>
    /// <param name="bias">fp32 [E], added to the scores where experts are chosen; null for none.</param>
    /// <param name="chosen">The experts of an earlier run over the same tokens; null to choose.</param>
    public Routing Route(Tensor x, Tensor? bias, Tensor? chosen)
    {
        using var scope = NewDisposeScope();
        var z = gate.forward(x.to(ScalarType.Float32));
        var scores = args.Score == RouterScore.Sigmoid ? z.sigmoid() : z.softmax(-1);
        var experts = chosen ?? (isEven ? Even(scores) : Choose(scores, bias));
        var top = scores.gather(1, experts);
        if (args.Norm) top /= top.sum(-1, keepdim: true) + 1e-20;
        if (args.Scale != 1) top *= args.Scale;
        if (chosen is null) experts.MoveToOuterDisposeScope();
        return new Routing(experts, top.MoveToOuterDisposeScope());
    }

    /// <summary>int64 [T, K].</summary>
    private Tensor Choose(Tensor scores, Tensor? bias)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        var choice = bias is null ? scores : scores + bias;
        if (args is { Groups: { } groups, LimitedGroups: { } limit })
        {
            var grouped = choice.view(-1, groups, args.Experts / groups);
            var (two, _) = grouped.topk(2, -1);
            var best = Best(two.sum(-1), limit);
            var hidden = ones_like(grouped.select(-1, 0), ScalarType.Bool).scatter(1, best, zeros_like(best, ScalarType.Bool));
            choice = grouped.masked_fill(hidden.unsqueeze(-1), double.NegativeInfinity).view(-1, args.Experts);
        }

        return Best(choice, args.TopK).MoveToOuterDisposeScope();
    }

    /// <summary>The indices of the n largest of each row, largest first. A stable sort gives ties to the lower index, which topk does not promise.</summary>
    private static Tensor Best(Tensor values, long n) => values.sort(-1, descending: true, stable: true).Indices.narrow(-1, 0, n).contiguous();

    /// <summary>Every expert equally often (debug.moe_force_load_balance).</summary>
    private Tensor Even(Tensor scores) => arange(scores.shape[0] * args.TopK, dtype: ScalarType.Int64, device: scores.device).remainder(args.Experts).view(-1, args.TopK);
}
