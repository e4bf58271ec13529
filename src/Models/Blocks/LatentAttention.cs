using Titan.Abstractions;
using static Titan.Abstractions.TensorParallelStyle;
using static TorchSharp.torch;

namespace Titan.Models;

/// <summary>Multi-head latent attention: x [B, S, dim] to [B, S, dim].</summary>
internal sealed class LatentAttention : Sublayer, IKernelUser, IAttentionLayer
{
    private readonly MlaArgs args;
    private readonly double factor;
    private readonly ModuleSlot? wq;
    private readonly ModuleSlot? wq_a;
    private readonly INorm? q_norm;
    private readonly ModuleSlot? wq_b;
    private readonly ModuleSlot wkv_a;
    private readonly INorm kv_norm;
    private readonly ModuleSlot wkv_b;
    private readonly ModuleSlot wo;

    public LatentAttention(MlaArgs args, long dimension, ModelContext context) : base("Attention")
    {
        (this.args, factor) = (args, args.ScaleFactor(context.Length));
        long q = (long)args.Heads * args.HeadDimension;
        if (args.QueryRank is { } rank)
        {
            wq_a = Projection("wq_a", dimension, rank);
            q_norm = args.Norm.Register(this, "q_norm", rank, context);
            wq_b = Projection("wq_b", rank, q);
        }
        else
        {
            wq = Projection("wq", dimension, q);
        }

        wkv_a = Projection("wkv_a", dimension, args.KvRank + args.RopeDimension);
        kv_norm = args.Norm.Register(this, "kv_norm", args.KvRank, context);
        wkv_b = Projection("wkv_b", args.KvRank, (long)args.Heads * (args.NopeDimension + args.ValueDimension));
        wo = Projection("wo", (long)args.Heads * args.ValueDimension, dimension);

        ModuleSlot Projection(string name, long k, long n) => new(this, name, new Linear(k, n, false, context.Device, context.Type));
    }

    public IModelKernels Kernels { get; set; } = PlainModelKernels.Instance;

    public Func<Tensor, Tensor, Tensor, Tensor>? AttendOverRanks { get; set; }

    public AttentionShape Shape => new(LocalHeads, LocalHeads, args.HeadDimension, true, null);

    public override IReadOnlyList<ModuleSlot> Slots => wq is not null ? [wq, wkv_a, wkv_b, wo] : [wq_a!, wq_b!, wkv_a, wkv_b, wo];

    // What all heads share, each rank computes for its own: the gradient is the sum over the ranks, as of a layer that sees a part of the sequence.
    public override SublayerSplit Split => wq is not null
        ? new([("wq", Colwise), ("wkv_a", SequenceParallel), ("kv_norm", SequenceParallel), ("wkv_b", Colwise), ("wo", Rowwise)], ["wq", "wkv_a"], "wo")
        : new([("wq_a", SequenceParallel), ("q_norm", SequenceParallel), ("wq_b", Colwise), ("wkv_a", SequenceParallel), ("kv_norm", SequenceParallel), ("wkv_b", Colwise), ("wo", Rowwise)], ["wq_a", "wkv_a"], "wo");

    // As many heads as this rank's part of the weights makes.
    private long LocalHeads => wkv_b.Module is ILinear linear ? linear.LocalShape.N / (args.NopeDimension + args.ValueDimension) : args.Heads;

    protected override Activation Compute(Activation x, BlockContext context)
    {
        long b = x.Values.shape[0], s = x.Values.shape[1], n = args.NopeDimension, r = args.RopeDimension, vd = args.ValueDimension;
        var (own, type) = (x.Values.dtype, AttendOverRanks is null ? Matmul.ComputeType(x.Values.dtype, x.Values.device_type) : x.Values.dtype);
        var q = Queries(x).view(b, s, -1, n + r);
        var narrow = wkv_a.Forward(x).Values;
        using var latent = kv_norm.Forward(narrow.narrow(-1, 0, args.KvRank), wkv_b.WantsInputAmax);
        var kv = wkv_b.Forward(latent).Values.view(b, s, -1, n + vd);
        var heads = kv.shape[2];
        var shared = Rotated(narrow.narrow(-1, args.KvRank, r).view(b, s, 1, r)).expand(b, s, heads, r);
        var queries = cat([q.narrow(-1, 0, n), Rotated(q.narrow(-1, n, r))], -1).to(type).transpose(1, 2);
        // Kernels divide by the root of the width: what differs from that is multiplied here.
        if (factor != 1) queries *= factor;
        var keys = cat([kv.narrow(-1, 0, n), shared], -1).to(type).transpose(1, 2);
        // Kernels want one width.
        var values = nn.functional.pad(kv.narrow(-1, n, vd), [0, n + r - vd]).to(type).transpose(1, 2);
        var attended = AttendOverRanks is { } attend ? attend(queries, keys, values) : Kernels.Attend(queries, keys, values, context.Masks.Of(true, null, null), true);
        using var mixed = new Activation(attended.narrow(-1, 0, vd).transpose(1, 2).reshape(b, s, -1).to(own));
        return wo.Forward(mixed);

        Tensor Rotated(Tensor part)
        {
            using var projected = new Activation(part);
            return context.Angles is { } angles ? Kernels.Rotate(projected, part, angles) : part;
        }
    }

    private Tensor Queries(Activation x)
    {
        if (wq is not null) return wq.Forward(x).Values;
        using var latent = q_norm!.Forward(wq_a!.Forward(x).Values, wq_b!.WantsInputAmax);
        return wq_b.Forward(latent).Values;
    }
}
