using Titan.Abstractions;
using Titan.Models;

namespace Titan.Plugins.Qwen3;

/// <summary>The arguments of a Qwen 3 model, upstream's names and defaults.</summary>
/// <param name="Dimension">Model dimension.</param>
/// <param name="Layers">Transformer blocks.</param>
/// <param name="Heads">Attention heads.</param>
/// <param name="KvHeads">Key and value heads.</param>
/// <param name="Hidden">Feed-forward dimension of a dense block.</param>
internal sealed record Qwen3Args(int Dimension = 1024, int Layers = 28, int Heads = 16, int KvHeads = 8, int Hidden = 3072)
{
    public int Vocabulary { get; init; } = 151936;

    /// <summary>Whatever the model dimension is.</summary>
    public int HeadDimension { get; init; } = 128;

    public double RopeTheta { get; init; } = 1_000_000;

    public bool TiedEmbeddings { get; init; }

    /// <summary>Of every block, in the place of its feed-forward layer; null for a dense model.</summary>
    public MoeArgs? Mixture { get; init; }

    /// <summary>The longest sequence that the flavor is meant for.</summary>
    public int LongestContext { get; init; } = 40960;

    /// <summary>Added to the mean square in the norms.</summary>
    public static double NormEpsilon => 1e-6;

    public DecoderArgs Decoder
    {
        get
        {
            var norm = new NormArgs.Rms(NormEpsilon);
            var attention = new AttentionArgs(Heads, KvHeads, HeadDimension) { QueryKeyNorm = norm };
            var block = new BlockArgs(norm, attention, Mixture is { } mixture ? mixture : new SwiGluArgs(Hidden));
            return new DecoderArgs(Dimension, Layers, Vocabulary, norm, _ => block, new DepthScaled(Dimension) { TiedEmbeddings = TiedEmbeddings }.Of)
            {
                Rotary = new RotaryArgs(RopeTheta, RotaryLayout.Halves), TiedEmbeddings = TiedEmbeddings,
            };
        }
    }

    public ModelFlavor Flavor => new(Decoder.Counts, context => new Decoder("Qwen3Model", Decoder, context)) { HuggingFace = () => Qwen3HuggingFace.Of(this) };

    /// <summary>Scores are a softmax over all experts, of which the best are taken and divided by their sum; no expert is shared.</summary>
    public static MoeArgs Experts(int count, int topK, int hidden) =>
        new(new RouterArgs(count, topK) { Score = RouterScore.Softmax, Norm = true }, new SwiGluExpertArgs(hidden)) { ScoreBeforeExperts = false };
}
