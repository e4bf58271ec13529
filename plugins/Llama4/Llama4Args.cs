using Titan.Abstractions;
using Titan.Models;

namespace Titan.Plugins.Llama4;

/// <summary>The arguments of a Llama 4 model, upstream's names and defaults.</summary>
/// <param name="Dimension">Model dimension.</param>
/// <param name="Layers">Transformer blocks.</param>
/// <param name="Heads">Attention heads.</param>
/// <param name="KvHeads">Key and value heads.</param>
/// <param name="Experts">Experts of a mixture.</param>
internal sealed record Llama4Args(int Dimension, int Layers, int Heads, int KvHeads, int Experts)
{
    public int Vocabulary { get; init; } = 202048;

    /// <summary>Factor on the feed-forward dimension, or null.</summary>
    public double? FeedForwardMultiplier { get; init; }

    /// <summary>Feed-forward dimensions are rounded up to a multiple of this.</summary>
    public int MultipleOf { get; init; } = 256;

    public int TopK { get; init; } = 1;

    /// <summary>Experts that all tokens go through, as one feed-forward layer of their joint width.</summary>
    public int SharedExperts { get; init; } = 1;

    /// <summary>Every block of so many has a mixture, the last of them.</summary>
    public int MixtureStep { get; init; } = 2;

    public double RopeTheta { get; init; } = 500000;

    /// <summary>Whether low rotary frequencies are stretched 16 times.</summary>
    public bool StretchesContext { get; init; } = true;

    /// <summary>The sequence length of the first training.</summary>
    public int OriginalContext { get; init; } = 8192;

    /// <summary>Every block of so many, the first of them, has no rotary embedding and sees whole documents; the others see blocks of <see cref="FixedBlock"/> positions (iRoPE). Null: no block differs.</summary>
    public int? NopeStep { get; init; }

    public int FixedBlock { get; init; } = 8192;

    /// <summary>Whether attention stops at document borders.</summary>
    public bool DocumentMask => NopeStep is not null;

    public int LongestContext { get; init; } = 1048576;

    /// <summary>Added to the mean square in the norms.</summary>
    public static double NormEpsilon => 1e-5;

    public int HeadDimension => Dimension / Heads;

    /// <summary>Feed-forward dimension of a dense block: the multiplier times 8/3 of the dimension, cut to an integer at each step, rounded up.</summary>
    public int Hidden => RoundedUp(Unrounded);

    /// <summary>Hidden dimension of an expert: the dense one is shared out among those that a token meets, so that blocks cost alike.</summary>
    public int ExpertHidden => RoundedUp(Unrounded / (TopK + SharedExperts));

    private int Unrounded => FeedForwardMultiplier is { } factor ? (int)(factor * (8 * Dimension / 3)) : 8 * Dimension / 3;

    public bool IsMixture(int layer) => (layer + 1) % MixtureStep == 0;

    public bool IsNope(int layer) => NopeStep is { } step && layer % step == 0;

    public RotaryScaling? Scaling => StretchesContext ? new RotaryScaling.ByWavelength(Factor: 16, LowFrequency: 1, HighFrequency: 1, OriginalContext) : null;

    public DecoderArgs Decoder
    {
        get
        {
            if (NopeStep is <= 1) throw new ArgumentException($"every {NopeStep}. block without rotary embedding; expected more than 1");
            var norm = new NormArgs.Rms(NormEpsilon);
            var mixture = new MoeArgs(new RouterArgs(Experts, TopK), new SwiGluExpertArgs(ExpertHidden)) { Shared = SharedExperts > 0 ? new SwiGluArgs((long)ExpertHidden * SharedExperts) : null };
            return new DecoderArgs(Dimension, Layers, Vocabulary, norm, Block, new DepthScaled(Dimension).Of) { Rotary = new RotaryArgs(RopeTheta, RotaryLayout.Pairs, Scaling), DocumentMask = DocumentMask };

            BlockArgs Block(int i)
            {
                var attention = new AttentionArgs(Heads, KvHeads, HeadDimension) { Rotates = !IsNope(i), FixedBlock = NopeStep is null || IsNope(i) ? null : FixedBlock };
                return new BlockArgs(norm, attention, IsMixture(i) ? mixture : new SwiGluArgs(Hidden));
            }
        }
    }

    public ModelFlavor Flavor => new(Decoder.Counts, context => new Decoder("Llama4Model", Decoder, context)) { HuggingFace = () => Llama4HuggingFace.Of(this) };

    private int RoundedUp(int hidden) => (hidden + MultipleOf - 1) / MultipleOf * MultipleOf;
}
