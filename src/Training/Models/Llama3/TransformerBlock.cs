using Titan.Abstractions;
using Titan.Kernels.Activations;
using Titan.Training.Recomputation;
using static TorchSharp.torch;

namespace Titan.Training.Models.Llama3;

/// <summary>x + attention(norm(x)), then the same with the feed-forward layer. The last addition is left to whoever reads the stream next.</summary>
internal sealed class TransformerBlock : nn.Module<ResidualStream, BlockContext, ResidualStream>
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
        attention_norm.Kernel = ffn_norm.Kernel = NormKernel.Instance;
        feed_forward.Fused = true;
    }

    public override ResidualStream forward(ResidualStream stream, BlockContext context)
    {
        if (Checkpointing == BlockCheckpointing.Full && is_grad_enabled()) return Again(inputs => Both(inputs, context), stream);
        using var scope = NewDisposeScope();
        return Moved(Both(stream, context));
    }

    private ResidualStream Both(ResidualStream stream, BlockContext context)
    {
        var (x, normed) = stream.Normalize(attention_norm, attention.WantsInputAmax);
        using (normed)
        {
            var half = new ResidualStream(x, attention.Forward(normed, context));
            return Checkpointing == BlockCheckpointing.FeedForward && is_grad_enabled() ? Again(Second, half) : Second(half);
        }
    }

    private ResidualStream Second(ResidualStream stream)
    {
        var (h, normed) = stream.Normalize(ffn_norm, feed_forward.WantsInputAmax);
        using (normed) return new ResidualStream(h, feed_forward.Forward(normed));
    }

    /// <summary>Runs a part now and once more in backward.</summary>
    private static ResidualStream Again(Func<ResidualStream, ResidualStream> part, ResidualStream stream)
    {
        Tensor[] outputs = stream.Addend is { } addend
            ? Recompute.Apply(i => Run(new ResidualStream(i[0], new Activation(i[1]))), stream.Sum, addend.Values)
            : Recompute.Apply(i => Run(new ResidualStream(i[0], null)), stream.Sum);
        return new ResidualStream(outputs[0], new Activation(outputs[1]));

        Tensor[] Run(ResidualStream input)
        {
            using var scope = NewDisposeScope();
            var output = Moved(part(input));
            return [output.Sum, output.Addend!.Values];
        }
    }

    private static ResidualStream Moved(ResidualStream stream)
    {
        stream.Sum.MoveToOuterDisposeScope();
        stream.Addend?.Values.MoveToOuterDisposeScope();
        return stream;
    }
}
