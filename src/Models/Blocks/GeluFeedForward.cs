using Titan.Abstractions;
using static Titan.Abstractions.TensorParallelStyle;
using static TorchSharp.torch;

namespace Titan.Models;

/// <summary>Two layers with a GELU between them (Hendrycks and Gimpel, 2016): w2(gelu(w1 x)).</summary>
/// <param name="Hidden">The hidden dimension.</param>
/// <param name="Bias">Whether the two layers have biases.</param>
public sealed record GeluArgs(long Hidden, bool Bias) : SublayerArgs
{
    /// <summary>Whether GELU is GPT-2's approximation by tanh instead of the error function.</summary>
    public bool Approximate { get; init; }

    /// <inheritdoc />
    public override long Parameters(long dimension) => 2 * dimension * Hidden + (Bias ? dimension + Hidden : 0);

    /// <inheritdoc />
    public override long HiddenOfToken => Hidden;

    /// <inheritdoc />
    public override Sublayer Create(long dimension, ModelContext context) => new GeluFeedForward(this, dimension, context);
}

internal sealed class GeluFeedForward : Sublayer
{
    private readonly GeluArgs args;
    private readonly ModuleSlot w1;
    private readonly ModuleSlot w2;

    public GeluFeedForward(GeluArgs args, long dimension, ModelContext context) : base("FeedForward")
    {
        this.args = args;
        w1 = new ModuleSlot(this, "w1", new Linear(dimension, args.Hidden, args.Bias, context.Device, context.Type));
        w2 = new ModuleSlot(this, "w2", new Linear(args.Hidden, dimension, args.Bias, context.Device, context.Type));
    }

    public override IReadOnlyList<ModuleSlot> Slots => [w1, w2];

    public override SublayerSplit Split => new([("w1", Colwise), ("w2", Rowwise)], ["w1"], "w2");

    protected override Activation Compute(Activation x, BlockContext context)
    {
        using var hidden = new Activation(Gelu(w1.Forward(x).Values));
        return w2.Forward(hidden);
    }

    private Tensor Gelu(Tensor x)
    {
        if (!args.Approximate) return nn.functional.gelu(x);
        var wide = x.to(ScalarType.Float32);
        return (0.5 * wide * (1 + (Math.Sqrt(2 / Math.PI) * (wide + 0.044715 * wide.pow(3))).tanh())).to(x.dtype);
    }
}
