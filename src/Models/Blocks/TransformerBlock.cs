using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Models;

/// <summary>The arguments of a transformer block.</summary>
/// <param name="Norm">Before each half.</param>
/// <param name="Attention">The first half.</param>
/// <param name="FeedForward">The second half.</param>
public sealed record BlockArgs(NormArgs Norm, SublayerArgs Attention, SublayerArgs FeedForward)
{
    /// <summary>Parameters for a model dimension.</summary>
    public long Parameters(long dimension) => Attention.Parameters(dimension) + FeedForward.Parameters(dimension) + 2 * Norm.Parameters(dimension);
}

/// <summary>x + attention(norm(x)), then the same with the feed-forward layer. The last addition is left to whoever reads the stream next.</summary>
internal sealed class TransformerBlock : nn.Module<ResidualStream, BlockContext, ResidualStream>
{
    private readonly Sublayer attention;
    // A field that holds a module makes it a child of that name: the second half is in one of two.
    private readonly Sublayer? feed_forward;
    private readonly Sublayer? moe;
    private readonly INorm attention_norm;
    private readonly INorm ffn_norm;

    public TransformerBlock(BlockArgs args, long dimension, ModelContext context) : base(nameof(TransformerBlock))
    {
        attention = args.Attention.Create(dimension, context);
        var second = args.FeedForward.Create(dimension, context);
        if (args.FeedForward.IsMixture) moe = second;
        else feed_forward = second;
        register_module("attention", attention);
        register_module(SecondName, second);
        attention_norm = args.Norm.Register(this, "attention_norm", dimension, context);
        ffn_norm = args.Norm.Register(this, "ffn_norm", dimension, context);
    }

    public BlockCheckpointing Checkpointing { get; set; }

    /// <summary>The first half, where ranks can share its sequences; null where it mixes tokens in a way of its own.</summary>
    public IAttentionLayer? Attention => attention as IAttentionLayer;

    /// <summary>The second half, where it is a mixture of experts.</summary>
    public MixtureOfExperts? Mixture => moe as MixtureOfExperts;

    private Sublayer Second => moe ?? feed_forward!;

    private string SecondName => moe is null ? "feed_forward" : "moe";

    /// <summary>How tensor parallelism splits the block.</summary>
    /// <param name="fqn">The block's name.</param>
    public (IEnumerable<TensorParallelLayer> Layers, IEnumerable<SequenceRegion> Regions) Split(string fqn)
    {
        string a = $"{fqn}.attention", f = $"{fqn}.{SecondName}";
        return ([.. attention.Split.LayersOf(a), .. Second.Split.LayersOf(f), new($"{a}_norm", TensorParallelStyle.SequenceParallel), new($"{fqn}.ffn_norm", TensorParallelStyle.SequenceParallel)],
            [attention.Split.RegionOf(a, attention), Second.Split.RegionOf(f, Second)]);
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
            return Checkpointing == BlockCheckpointing.FeedForward && is_grad_enabled() ? Again(s => SecondHalf(s, context), half) : SecondHalf(half, context);
        }
    }

    private ResidualStream SecondHalf(ResidualStream stream, BlockContext context)
    {
        var (h, normed) = stream.Normalize(ffn_norm, Second.WantsInputAmax);
        using (normed) return new ResidualStream(h, Second.Forward(normed, context));
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
