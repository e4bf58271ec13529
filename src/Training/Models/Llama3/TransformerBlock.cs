using Titan.Abstractions;
using Titan.Kernels.Fused;
using Titan.Training.Activation;
using static TorchSharp.torch;

namespace Titan.Training.Models.Llama3;

/// <summary>x + attention(norm(x)), then the same with the feed-forward layer.</summary>
internal sealed class TransformerBlock : nn.Module<Tensor, BlockContext, Tensor>
{
    private readonly Attention attention;
    private readonly FeedForward feed_forward;
    private readonly RmsNorm attention_norm;
    private readonly RmsNorm ffn_norm;

    public TransformerBlock(Llama3Args args, Device device, ScalarType type) : base(nameof(TransformerBlock))
    {
        attention = new Attention(args, device, type);
        feed_forward = new FeedForward(args, device, type);
        attention_norm = new RmsNorm(args.Dimension, args.NormEpsilon, device, type);
        ffn_norm = new RmsNorm(args.Dimension, args.NormEpsilon, device, type);
        register_module("attention", attention);
        register_module("feed_forward", feed_forward);
        register_module("attention_norm", attention_norm);
        register_module("ffn_norm", ffn_norm);
    }

    public IActivationBoundary AttentionBoundary => attention;

    public IActivationBoundary FeedForwardBoundary => feed_forward;

    public BlockCheckpointing Checkpointing { get; set; }

    /// <summary>Puts fused kernels into the norms and the feed-forward layer.</summary>
    public void UseFusedKernels()
    {
        attention_norm.Kernel = ffn_norm.Kernel = FusedRmsNorm.Normalize;
        feed_forward.Fused = true;
    }

    public override Tensor forward(Tensor x, BlockContext context)
    {
        if (Checkpointing == BlockCheckpointing.Full && is_grad_enabled()) return Recompute.Apply(input => Both(input, context), x);
        return Both(x, context);
    }

    private Tensor Both(Tensor x, BlockContext context)
    {
        using var scope = NewDisposeScope();
        var h = x + attention.call(attention_norm.call(x), context);
        var y = Checkpointing == BlockCheckpointing.FeedForward && is_grad_enabled() ? Recompute.Apply(Second, h) : Second(h);
        return y.MoveToOuterDisposeScope();
    }

    private Tensor Second(Tensor h)
    {
        using var scope = NewDisposeScope();
        return (h + feed_forward.call(ffn_norm.call(h))).MoveToOuterDisposeScope();
    }
}
