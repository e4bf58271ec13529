using Titan.Abstractions;

namespace Titan.Models.Llama3;

/// <summary>The arguments of a Llama 3 model, upstream's names and defaults.</summary>
/// <param name="Dimension">Model dimension.</param>
/// <param name="Layers">Transformer blocks.</param>
/// <param name="Heads">Attention heads.</param>
/// <param name="KvHeads">Key and value heads (grouped-query attention).</param>
/// <param name="Vocabulary">Vocabulary size.</param>
/// <param name="FeedForwardMultiplier">Factor on the feed-forward dimension, or null.</param>
/// <param name="MultipleOf">The feed-forward dimension is rounded up to a multiple of this.</param>
/// <param name="RopeTheta">Base of the rotary frequencies.</param>
/// <param name="DocumentMask">Whether attention stops at document borders (upstream's flex and varlen flavors).</param>
public sealed record Llama3Args(
    int Dimension = 4096, int Layers = 32, int Heads = 32, int KvHeads = 32, int Vocabulary = 128256,
    double? FeedForwardMultiplier = null, int MultipleOf = 256, double RopeTheta = 500000, bool DocumentMask = false)
{
    /// <summary>Added to the mean square in the norms.</summary>
    public double NormEpsilon => 1e-5;

    /// <summary>Dimension of a head.</summary>
    public int HeadDimension => Dimension / Heads;

    /// <summary>The feed-forward dimension: roundup(int(multiplier * int(2 * 4 * dim / 3)), multiple_of), cut to an integer at each step.</summary>
    public int FeedForward
    {
        get
        {
            var hidden = 2 * (4 * Dimension) / 3;
            if (FeedForwardMultiplier is { } factor) hidden = (int)(factor * hidden);
            return MultipleOf * ((hidden + MultipleOf - 1) / MultipleOf);
        }
    }

    /// <summary>The model as the blocks that families share.</summary>
    public DecoderArgs Decoder
    {
        get
        {
            var norm = new NormArgs.Rms(NormEpsilon);
            var block = new BlockArgs(norm, new AttentionArgs(Heads, KvHeads, HeadDimension), new SwiGluArgs(FeedForward));
            return new DecoderArgs(Dimension, Layers, Vocabulary, norm, _ => block, new DepthScaled(Dimension).Of) { Rotary = Rotary, DocumentMask = DocumentMask };
        }
    }

    /// <summary>On adjacent pairs (Meta's layout), with the frequencies of Llama 3.1.</summary>
    public RotaryArgs Rotary => new(RopeTheta, RotaryLayout.Pairs, new RotaryScaling.ByWavelength(Factor: 8, LowFrequency: 1, HighFrequency: 4, OriginalContext: 8192));

    /// <summary>The numbers that follow.</summary>
    public ModelCounts Counts => Decoder.Counts;

    /// <summary>The model as a flavor of its family.</summary>
    public ModelFlavor Flavor => new(Counts, Build) { HuggingFace = () => Llama3HuggingFace.Of(this) };

    /// <summary>Builds the model with uninitialised parameters.</summary>
    public Decoder Build(ModelContext context) => new("Llama3Model", Decoder, context);
}
