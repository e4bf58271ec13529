namespace Titan.Models;

/// <summary>
/// Upstream's initialisation, which its families share: the embedding N(0, 1), the head D^-0.5 cut at three deviations, norms 1, and all else normal numbers of 0.02 where a layer reads the residual
/// stream and 0.02 / sqrt(2 (i + 1)) where one of block i writes to it or routes (wo, w2, w3, gate), cut at 2, which is practically never.
/// </summary>
/// <param name="Dimension">Model dimension.</param>
public sealed record DepthScaled(int Dimension)
{
    /// <summary>Whether the head is the embedding: it is drawn as the head.</summary>
    public bool TiedEmbeddings { get; init; }

    /// <summary>How a parameter is filled.</summary>
    /// <param name="fqn">Its name.</param>
    public Initializer Of(string fqn)
    {
        var output = Math.Pow(Dimension, -0.5);
        return fqn switch
        {
            "tok_embeddings.weight" when !TiedEmbeddings => new Initializer.Normal(1),
            "tok_embeddings.weight" or "output.weight" => new Initializer.Truncated(output, 3 * output),
            _ when fqn.EndsWith("norm.weight", StringComparison.Ordinal) => Initializer.Ones,
            _ when fqn.EndsWith(".bias", StringComparison.Ordinal) => Initializer.Zeros,
            _ => new Initializer.Truncated(LayerOf(fqn) is "wo" or "w2" or "w3" or "gate" ? InBlock(fqn) : 0.02, 2),
        };
    }

    /// <summary>0.02 / sqrt(2 (i + 1)) for a parameter of block i.</summary>
    /// <param name="fqn">Its name, <c>layers.i. ...</c>.</param>
    public static double InBlock(string fqn) => 0.02 / Math.Sqrt(2 * (int.Parse(fqn.Split('.')[1], System.Globalization.CultureInfo.InvariantCulture) + 1));

    /// <summary>The last part of a parameter's name that says more than <c>weight</c>.</summary>
    private static string LayerOf(string fqn) => fqn.Split('.') is var parts && parts[^1] == "weight" ? parts[^2] : parts[^1];
}
