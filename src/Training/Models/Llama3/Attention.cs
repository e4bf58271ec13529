using Titan.Abstractions;
using Titan.Kernels.Activations;
using Titan.Kernels.Aten;
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
internal sealed class Attention : nn.Module, ISlotOwner, IActivationBoundary
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

    public Func<Activation, Activation>? BeforeForward { get; set; }

    public Func<Activation, Activation>? AfterForward { get; set; }

    /// <summary>Whether a layer looks for the amax of the input.</summary>
    public bool WantsInputAmax => wq.WantsInputAmax || wk.WantsInputAmax || wv.WantsInputAmax;

    public Activation Forward(Activation x, BlockContext context)
    {
        using var scope = NewDisposeScope();
        using var gathered = BeforeForward?.Invoke(x);
        var input = gathered ?? x;
        long b = input.Values.shape[0], s = input.Values.shape[1], d = args.HeadDimension;
        // Where bf16 products are slow, attention's are computed in fp32 as well.
        var (own, type) = (input.Values.dtype, Matmul.ComputeType(input.Values.dtype, input.Values.device_type));
        // As many heads as this rank's part of the weights makes.
        var q = Rotate(wq.Forward(input)).to(type).transpose(1, 2);
        var k = Rotate(wk.Forward(input)).to(type).transpose(1, 2);
        var v = wv.Forward(input).Values.view(b, s, -1, d).to(type).transpose(1, 2);
        using var mixed = new Activation(Attend(q, k, v, context.Mask).transpose(1, 2).reshape(b, s, -1).to(own));
        var output = wo.Forward(mixed);
        if (AfterForward is { } after) output = after(output);
        output.Values.MoveToOuterDisposeScope();
        return output;

        Tensor Rotate(Activation projected)
        {
            var heads = projected.Values.view(b, s, -1, d);
            return context.Fused is { } table ? FusedRotary.Rotate(heads, table, offer: KnownGradient.Offer(projected)) : RotaryEmbedding.Apply(heads, context.Cos, context.Sin);
        }
    }

    private Tensor Attend(Tensor q, Tensor k, Tensor v, Tensor? mask)
    {
        if (args.KvHeads != args.Heads)
        {
            // A GPU's kernels read the heads that share keys and values from where they are.
            if (mask is null && q.device_type == TorchSharp.DeviceType.CUDA) return AtenGateway.ScaledDotProductAttention(q, k, v, causal: true);
            k = Repeat(k, args.Heads / args.KvHeads);
            v = Repeat(v, args.Heads / args.KvHeads);
        }

        return nn.functional.scaled_dot_product_attention(q, k, v, mask, 0, mask is null);
    }

    /// <summary>[B, KV, S, D] to [B, KV * n, S, D], each head n times in a row.</summary>
    private static Tensor Repeat(Tensor x, int n)
    {
        var s = x.shape;
        return x.unsqueeze(2).expand(s[0], s[1], n, s[2], s[3]).reshape(s[0], s[1] * n, s[2], s[3]);
    }
}
