using Titan.Abstractions;
using Titan.Kernels.Fused;
using static TorchSharp.torch;

namespace Titan.Training.Models.Llama3;

/// <summary>SwiGLU (Shazeer, 2020): w2(silu(w1 x) * w3 x).</summary>
internal sealed class FeedForward : nn.Module<Tensor, Tensor>, ISlotOwner, IActivationBoundary
{
    private readonly ModuleSlot w1;
    private readonly ModuleSlot w2;
    private readonly ModuleSlot w3;

    public FeedForward(Llama3Args args, Device device, ScalarType type) : base(nameof(FeedForward))
    {
        w1 = new ModuleSlot(this, "w1", new Linear(args.Dimension, args.FeedForward, false, device, type));
        w2 = new ModuleSlot(this, "w2", new Linear(args.FeedForward, args.Dimension, false, device, type));
        w3 = new ModuleSlot(this, "w3", new Linear(args.Dimension, args.FeedForward, false, device, type));
    }

    /// <summary>Whether silu(w1 x) * w3 x is one pass.</summary>
    public bool Fused { get; set; }

    public IReadOnlyList<ModuleSlot> Slots => [w1, w2, w3];

    public Func<Tensor, Tensor>? BeforeForward { get; set; }

    public Func<Tensor, Tensor>? AfterForward { get; set; }

    public override Tensor forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        if (BeforeForward is { } before) x = before(x);
        Tensor gate = w1.forward(x), up = w3.forward(x);
        var down = w2.forward(Fused ? FusedSwiGlu.Multiply(gate, up) : nn.functional.silu(gate) * up);
        return (AfterForward is { } after ? after(down) : down).MoveToOuterDisposeScope();
    }
}
