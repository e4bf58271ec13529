using Titan.Abstractions;
using Titan.Models;

namespace Titan.Plugins.GptOss;

/// <summary>The arguments of a gpt-oss model, upstream's names and defaults.</summary>
/// <param name="Dimension">Model dimension.</param>
/// <param name="Layers">Transformer blocks.</param>
/// <param name="Experts">Experts of a block.</param>
internal sealed record GptOssArgs(int Dimension, int Layers, int Experts)
{
    public int Vocabulary { get; init; } = 201088;

    public int ExpertHidden { get; init; } = 2880;

    public int TopK { get; init; } = 4;

    /// <summary>Where an expert's gate and linear part are cut.</summary>
    public double SwiGluLimit { get; init; } = 7;

    public int Heads { get; init; } = 64;

    public int KvHeads { get; init; } = 8;

    public int HeadDimension { get; init; } = 64;

    /// <summary>How many keys back a query sees in every second block, the first among them.</summary>
    public int Window { get; init; } = 128;

    public double RopeTheta { get; init; } = 150000;

    public double RopeFactor { get; init; } = 32;

    public int OriginalContext { get; init; } = 4096;

    /// <summary>Added to the mean square in the norms.</summary>
    public static double NormEpsilon => 1e-5;

    public RotaryScaling.Yarn? Yarn => RopeFactor > 1 ? new RotaryScaling.Yarn(RopeFactor, OriginalContext) { Attention = 0.1 * Math.Log(RopeFactor) + 1 } : null;

    public DecoderArgs Decoder
    {
        get
        {
            var norm = new NormArgs.Rms(NormEpsilon);
            var mixture = new MoeArgs(new RouterArgs(Experts, TopK) { Score = RouterScore.Softmax, Norm = true, GateBias = true }, new ClampedExpertArgs(ExpertHidden, SwiGluLimit)) { ScoreBeforeExperts = false };
            return new DecoderArgs(Dimension, Layers, Vocabulary, norm, Block, Initial) { Rotary = new RotaryArgs(RopeTheta, RotaryLayout.Halves, Yarn) };

            BlockArgs Block(int i) => new(norm, new AttentionArgs(Heads, KvHeads, HeadDimension) { Bias = true, Sinks = true, Window = i % 2 == 0 ? Window : null }, mixture);
        }
    }

    public ModelFlavor Flavor => new(Decoder.Counts, context => new Decoder("GptOssModel", Decoder, context)) { HuggingFace = () => GptOssHuggingFace.Of(this) };

    /// <summary>All that is in a block shrinks with its depth, biases and sinks too. Upstream leaves the gate's bias as memory was: 0 here.</summary>
    private Initializer Initial(string fqn) =>
        fqn.EndsWith(".gate.bias", StringComparison.Ordinal) ? Initializer.Zeros
        : fqn.StartsWith("layers.", StringComparison.Ordinal) && !fqn.EndsWith("norm.weight", StringComparison.Ordinal) ? new Initializer.Truncated(DepthScaled.InBlock(fqn), 2)
        : new DepthScaled(Dimension).Of(fqn);
}
