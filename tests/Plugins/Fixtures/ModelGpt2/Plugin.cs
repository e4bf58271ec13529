using Titan.Models;

/// <summary>A model family of a third party, GPT-2's architecture: learned positions, LayerNorm, biases, GELU, a head that is the embedding.</summary>
[ExportModel("gpt2", Status = ExportStatus.Prototype, Summary = "GPT-2: learned positions, LayerNorm, GELU, tied embeddings")]
public sealed class Gpt2 : IModelFamily
{
    public IReadOnlyDictionary<string, ModelFlavor> Flavors { get; } = new Dictionary<string, ModelFlavor>
    {
        ["tiny"] = Of(dimension: 64, layers: 2, heads: 4, vocabulary: 2048, positions: 128),
        ["124M"] = Of(dimension: 768, layers: 12, heads: 12, vocabulary: 50257, positions: 1024),
    };

    private static ModelFlavor Of(int dimension, int layers, int heads, int vocabulary, int positions)
    {
        var norm = new NormArgs.Layer(1e-5);
        var block = new BlockArgs(norm, new AttentionArgs(heads, heads, dimension / heads) { Bias = true }, new GeluArgs(4 * dimension, Bias: true) { Approximate = true });
        var args = new DecoderArgs(dimension, layers, vocabulary, norm, _ => block, fqn => Initial(fqn, layers)) { LearnedPositions = positions, TiedEmbeddings = true };
        return new ModelFlavor(args.Counts, context => new Decoder("GPT-2", args, context));
    }

    /// <summary>Normal numbers of 0.02, less where a layer writes to the residual stream (Radford et al., 2019).</summary>
    private static Initializer Initial(string fqn, int layers) =>
        fqn.EndsWith(".bias") ? Initializer.Zeros
        : fqn.EndsWith("norm.weight") ? Initializer.Ones
        : new Initializer.Normal(fqn.EndsWith("wo.weight") || fqn.EndsWith("w2.weight") ? 0.02 / Math.Sqrt(2 * layers) : 0.02);
}
