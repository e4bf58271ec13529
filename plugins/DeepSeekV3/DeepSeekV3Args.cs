using Titan.Abstractions;
using Titan.Models;

namespace Titan.Plugins.DeepSeekV3;

/// <summary>The arguments of a DeepSeek-V3 model, upstream's names and defaults.</summary>
/// <param name="Dimension">Model dimension.</param>
/// <param name="Hidden">Feed-forward dimension of a dense block.</param>
/// <param name="Layers">Transformer blocks.</param>
/// <param name="Heads">Attention heads.</param>
/// <param name="Router">The routers.</param>
/// <param name="ExpertHidden">Hidden dimension of an expert.</param>
internal sealed record DeepSeekV3Args(int Dimension, int Hidden, int Layers, int Heads, RouterArgs Router, int ExpertHidden)
{
    public int Vocabulary { get; init; } = 102400;

    /// <summary>The first blocks, which have no experts.</summary>
    public int DenseLayers { get; init; } = 1;

    /// <summary>Experts that all tokens go through, as one feed-forward layer of their joint width.</summary>
    public int SharedExperts { get; init; } = 2;

    /// <summary>Width of the vector of which queries are made; null where they are made of the input.</summary>
    public int? QueryRank { get; init; }

    public int KvRank { get; init; } = 512;

    public int NopeDimension { get; init; } = 128;

    public int RopeDimension { get; init; } = 64;

    public int ValueDimension { get; init; } = 128;

    /// <summary>The sequence length of the first training: longer sequences get YaRN's frequencies and scale.</summary>
    public int OriginalContext { get; init; } = 4096;

    public double RopeFactor { get; init; } = 40;

    /// <summary>How much the softmax scale grows with the stretched context.</summary>
    public double MScale { get; init; } = 1;

    /// <summary>Whether attention stops at document borders (upstream's flex attention, <c>block_causal</c>).</summary>
    public bool DocumentMask { get; init; } = true;

    /// <summary>Added to the mean square in the norms of blocks.</summary>
    public static double NormEpsilon => 1e-5;

    /// <summary>Of the last norm, which upstream builds without one: the machine epsilon of fp32.</summary>
    public static double FinalNormEpsilon => 1.1920929e-07;

    public static double RopeTheta => 10000;

    public MoeArgs Mixture => new(Router, new SwiGluExpertArgs(ExpertHidden)) { Shared = SharedExperts > 0 ? new SwiGluArgs((long)ExpertHidden * SharedExperts) : null, ScoreBeforeExperts = false };

    public DecoderArgs Decoder
    {
        get
        {
            var norm = new NormArgs.Rms(NormEpsilon);
            var yarn = new RotaryScaling.Yarn(RopeFactor, OriginalContext) { WholePairs = true, BeyondOriginalOnly = true };
            var growth = 0.1 * MScale * Math.Log(RopeFactor) + 1;
            var attention = new MlaArgs(Heads, KvRank, NopeDimension, RopeDimension, ValueDimension, norm) { QueryRank = QueryRank, ScaleFactor = length => yarn.Serves(length) ? growth * growth : 1 };
            BlockArgs dense = new(norm, attention, new SwiGluArgs(Hidden)), mixed = new(norm, attention, Mixture);
            return new DecoderArgs(Dimension, Layers, Vocabulary, new NormArgs.Rms(FinalNormEpsilon), i => i < DenseLayers ? dense : mixed, new DepthScaled(Dimension).Of)
            {
                Rotary = new RotaryArgs(RopeTheta, RotaryLayout.Pairs, yarn) { Dimension = RopeDimension }, DocumentMask = DocumentMask,
            };
        }
    }

    public ModelFlavor Flavor => new(Decoder.Counts, context => new Decoder("DeepSeekV3Model", Decoder, context)) { HuggingFace = () => DeepSeekV3HuggingFace.Of(this) };
}
