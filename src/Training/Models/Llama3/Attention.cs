using Titan.Abstractions;
using Titan.Kernels.Fused;
using Titan.Kernels.ModelOps;
using static TorchSharp.torch;

namespace Titan.Training.Models.Llama3;

/// <summary>What every block needs besides its input.</summary>
/// <param name="Cos">[S, D/2].</param>
/// <param name="Sin">[S, D/2].</param>
/// <param name="Fused">The same numbers for the fused kernel; null for the plain operations.</param>
/// <param name="Mask">[B, 1, S, S] bool, true where attention may look; null for plain causal attention.</param>
internal sealed record BlockContext(Tensor Cos, Tensor Sin, RotaryTable? Fused, Tensor? Mask);

/// <summary>Grouped-query causal attention: x [B, S, dim] to [B, S, dim].</summary>
internal sealed class Attention : nn.Module<Tensor, BlockContext, Tensor>, ISlotOwner, IActivationBoundary
{
    private readonly ModuleSlot wq;
    private readonly ModuleSlot wk;
    private readonly ModuleSlot wv;
    private readonly ModuleSlot wo;
    private readonly Llama3Args args;

    public Attention(Llama3Args args, Device device, ScalarType type) : base(nameof(Attention))
    {
        this.args = args;
        long kv = args.KvHeads * args.HeadDimension;
        wq = new ModuleSlot(this, "wq", new Linear(args.Dimension, args.Dimension, false, device, type));
        wk = new ModuleSlot(this, "wk", new Linear(args.Dimension, kv, false, device, type));
        wv = new ModuleSlot(this, "wv", new Linear(args.Dimension, kv, false, device, type));
        wo = new ModuleSlot(this, "wo", new Linear(args.Dimension, args.Dimension, false, device, type));
    }

    public IReadOnlyList<ModuleSlot> Slots => [wq, wk, wv, wo];

    public Func<Tensor, Tensor>? BeforeForward { get; set; }

    public Func<Tensor, Tensor>? AfterForward { get; set; }

    public override Tensor forward(Tensor x, BlockContext context)
    {
        using var scope = NewDisposeScope();
        if (BeforeForward is { } before) x = before(x);
        long b = x.shape[0], s = x.shape[1], d = args.HeadDimension;
        // Where bf16 products are slow, attention's are computed in fp32 as well.
        var type = Matmul.ComputeType(x.dtype, x.device_type);
        // As many heads as this rank's part of the weights makes.
        var q = Rotate(wq.forward(x).view(b, s, -1, d), context).to(type).transpose(1, 2);
        var k = Rotate(wk.forward(x).view(b, s, -1, d), context).to(type).transpose(1, 2);
        var v = wv.forward(x).view(b, s, -1, d).to(type).transpose(1, 2);
        if (args.KvHeads != args.Heads)
        {
            k = Repeat(k, args.Heads / args.KvHeads);
            v = Repeat(v, args.Heads / args.KvHeads);
        }

        var y = nn.functional.scaled_dot_product_attention(q, k, v, context.Mask, 0, context.Mask is null);
        var mixed = wo.forward(y.transpose(1, 2).reshape(b, s, -1).to(x.dtype));
        return (AfterForward is { } after ? after(mixed) : mixed).MoveToOuterDisposeScope();
    }

    private static Tensor Rotate(Tensor x, BlockContext context) =>
        context.Fused is { } table ? FusedRotary.Rotate(x, table) : RotaryEmbedding.Apply(x, context.Cos, context.Sin);

    /// <summary>[B, KV, S, D] to [B, KV * n, S, D], each head n times in a row.</summary>
    private static Tensor Repeat(Tensor x, int n)
    {
        var s = x.shape;
        return x.unsqueeze(2).expand(s[0], s[1], n, s[2], s[3]).reshape(s[0], s[1] * n, s[2], s[3]);
    }
}
