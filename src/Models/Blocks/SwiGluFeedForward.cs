using Titan.Abstractions;
using static Titan.Abstractions.TensorParallelStyle;

namespace Titan.Models;

/// <summary>SwiGLU (Shazeer, 2020): w2(silu(w1 x) * w3 x).</summary>
/// <param name="Hidden">The hidden dimension.</param>
public sealed record SwiGluArgs(long Hidden) : SublayerArgs
{
    /// <inheritdoc />
    public override long Parameters(long dimension) => 3 * dimension * Hidden;

    /// <inheritdoc />
    public override long HiddenOfToken => Hidden;

    /// <inheritdoc />
    public override Sublayer Create(long dimension, ModelContext context) => new SwiGluFeedForward(this, dimension, context);
}

internal sealed class SwiGluFeedForward : Sublayer, IKernelUser
{
    private readonly ModuleSlot w1;
    private readonly ModuleSlot w2;
    private readonly ModuleSlot w3;

    public SwiGluFeedForward(SwiGluArgs args, long dimension, ModelContext context) : base("FeedForward")
    {
        w1 = new ModuleSlot(this, "w1", new Linear(dimension, args.Hidden, false, context.Device, context.Type));
        w2 = new ModuleSlot(this, "w2", new Linear(args.Hidden, dimension, false, context.Device, context.Type));
        w3 = new ModuleSlot(this, "w3", new Linear(dimension, args.Hidden, false, context.Device, context.Type));
    }

    public IModelKernels Kernels { get; set; } = PlainModelKernels.Instance;

    public override IReadOnlyList<ModuleSlot> Slots => [w1, w2, w3];

    public override SublayerSplit Split => new([("w1", Colwise), ("w2", Rowwise), ("w3", Colwise)], ["w1", "w3"], "w2");

    protected override Activation Compute(Activation x, BlockContext context)
    {
        Activation gate = w1.Forward(x), up = w3.Forward(x);
        using var hidden = Kernels.SwiGlu(gate, up, w2.WantsInputAmax);
        return w2.Forward(hidden);
    }
}
