using Titan.Abstractions;
using static Titan.Abstractions.TensorParallelStyle;
using static TorchSharp.torch;

namespace Titan.Models;

/// <summary>Attention: x [B, S, dim] to [B, S, dim].</summary>
internal class Attention : Sublayer, IKernelUser, IAttentionLayer
{
    private readonly AttentionArgs args;
    private readonly ModuleSlot wq;
    private readonly ModuleSlot wk;
    private readonly ModuleSlot wv;
    private readonly ModuleSlot wo;
    private readonly INorm? q_norm;
    private readonly INorm? k_norm;

    public Attention(AttentionArgs args, long dimension, ModelContext context) : base(nameof(Attention))
    {
        this.args = args;
        long q = (long)args.Heads * args.HeadDimension, kv = (long)args.KvHeads * args.HeadDimension;
        wq = Projection("wq", dimension, q);
        wk = Projection("wk", dimension, kv);
        wv = Projection("wv", dimension, kv);
        wo = Projection("wo", q, dimension);
        if (args.QueryKeyNorm is { } norm) (q_norm, k_norm) = (norm.Register(this, "q_norm", args.HeadDimension, context), norm.Register(this, "k_norm", args.HeadDimension, context));

        ModuleSlot Projection(string name, long k, long n) => new(this, name, new Linear(k, n, args.Bias, context.Device, context.Type));
    }

    public IModelKernels Kernels { get; set; } = PlainModelKernels.Instance;

    public Func<Tensor, Tensor, Tensor, Tensor>? AttendOverRanks { get; set; }

    // As many heads as this rank's part of the weights makes.
    public AttentionShape Shape => new(HeadsOf(wq, args.Heads), HeadsOf(wk, args.KvHeads), args.HeadDimension, args.Causal, args.Window);

    public virtual string? NeedsWholeSequences => args.FixedBlock is { } block ? $"a query sees the keys of its own {block} positions alone" : null;

    public override IReadOnlyList<ModuleSlot> Slots => [wq, wk, wv, wo];

    public override SublayerSplit Split => new(
        // Each rank's heads see the same norm: its gradient is the sum over the ranks, as where they see parts of the sequence.
        [("wq", Colwise), ("wk", Colwise), ("wv", Colwise), ("wo", Rowwise), .. q_norm is null ? [] : new[] { ("q_norm", SequenceParallel), ("k_norm", SequenceParallel) }],
        ["wq", "wk", "wv"], "wo");

    protected override Activation Compute(Activation x, BlockContext context)
    {
        long b = x.Values.shape[0], s = x.Values.shape[1], d = args.HeadDimension;
        // Where bf16 products are slow, attention's are computed in fp32 as well. What travels stays narrow.
        var (own, type) = (x.Values.dtype, AttendOverRanks is null ? Matmul.ComputeType(x.Values.dtype, x.Values.device_type) : x.Values.dtype);
        // As many heads as this rank's part of the weights makes.
        var q = Heads(wq.Forward(x), q_norm).to(type).transpose(1, 2);
        var k = Heads(wk.Forward(x), k_norm).to(type).transpose(1, 2);
        var v = wv.Forward(x).Values.view(b, s, -1, d).to(type).transpose(1, 2);
        var attended = AttendOverRanks is { } attend ? attend(q, k, v) : Attend(q, k, v, context);
        using var mixed = new Activation(attended.transpose(1, 2).reshape(b, s, -1).to(own));
        return wo.Forward(mixed);

        Tensor Heads(Activation projected, INorm? norm)
        {
            var heads = projected.Values.view(b, s, -1, d);
            if (norm is not null)
            {
                projected = norm.Forward(heads, wantsAmax: false);
                heads = projected.Values;
            }

            return context.Angles is { } angles && args.Rotates ? Kernels.Rotate(projected, heads, angles) : heads;
        }
    }

    /// <summary>The heads' attention over whole sequences: q [B, H, S, D], k and v [B, KV, S, D] to [B, H, S, D].</summary>
    protected virtual Tensor Attend(Tensor q, Tensor k, Tensor v, BlockContext context) => Kernels.Attend(q, k, v, Mask(context), args.Causal);

    /// <summary>Where queries look; null where <see cref="AttentionArgs.Causal"/> says it alone.</summary>
    protected Tensor? Mask(BlockContext context) => context.Masks.Of(args.Causal, args.Window, args.FixedBlock);

    private long HeadsOf(ModuleSlot projection, int whole) => projection.Module is ILinear linear ? linear.LocalShape.N / args.HeadDimension : whole;
}
