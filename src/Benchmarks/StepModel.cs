using Titan.Abstractions;
using Titan.Training.Models;
using Titan.Models;
using Titan.Models.Llama3;

namespace Titan.Benchmarks;

/// <summary>The Llama 3 that <c>titan bench step</c> runs.</summary>
/// <param name="Dimension">Model dimension.</param>
/// <param name="Layers">Blocks.</param>
/// <param name="Heads">Attention heads.</param>
/// <param name="KvHeads">Key and value heads.</param>
/// <param name="FeedForward">Feed-forward dimension.</param>
/// <param name="Vocabulary">Vocabulary size.</param>
/// <param name="Length">Tokens in a sequence.</param>
/// <param name="Batch">Sequences.</param>
public sealed record StepModel(int Dimension, int Layers, int Heads, int KvHeads, int FeedForward, int Vocabulary, int Length, int Batch)
{
    /// <summary>The flavor's name in the registry.</summary>
    public const string Flavor = "bench";

    /// <summary>For titles.</summary>
    public override string ToString() =>
        $"Llama 3, dim {Dimension}, {Layers} layers, {Heads} heads, {KvHeads} KV heads, ffn {FeedForward}, vocabulary {Vocabulary}, {Args.Counts.Parameters:N0} parameters; batch {Batch} x {Length} tokens";

    /// <summary>The model's arguments.</summary>
    public Llama3Args Args => new(Dimension, Layers, Heads, KvHeads, Vocabulary,
        // The feed-forward dimension is rounded up to a multiple: make what is rounded small, and the multiple what is wanted.
        FeedForwardMultiplier: 1.5 / (2 * (4 * Dimension) / 3), MultipleOf: FeedForward);

    /// <summary>A registry that holds it.</summary>
    public ModelRegistry Registry()
    {
        var registry = new ModelRegistry();
        registry.Register("llama3", new Dictionary<string, ModelFlavor> { [Flavor] = Args.Flavor });
        return registry;
    }

    /// <summary>Throws when the sizes do not fit each other.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/>.</exception>
    public StepModel Checked()
    {
        if (Dimension % Heads != 0 || Dimension / Heads % 2 != 0) throw new TitanException(ExitCode.Usage, $"--dim {Dimension} and --heads {Heads}: expected an even number of dimensions for each head");
        if (Heads % KvHeads != 0) throw new TitanException(ExitCode.Usage, $"--heads {Heads} and --kv-heads {KvHeads}: expected a multiple of the KV heads");
        return this;
    }
}
