using Titan.Abstractions;
using Titan.Kernels.Activations;
using Titan.Kernels.Fused;
using static TorchSharp.torch;

namespace Titan.Training.Models.Llama3;

/// <summary>SwiGLU (Shazeer, 2020): w2(silu(w1 x) * w3 x).</summary>
internal sealed class FeedForward : nn.Module, ISlotOwner, IActivationBoundary
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

    public Func<Activation, Activation>? BeforeForward { get; set; }

    public Func<Activation, Activation>? AfterForward { get; set; }

    /// <summary>Whether a layer looks for the amax of the input.</summary>
    public bool WantsInputAmax => w1.WantsInputAmax || w3.WantsInputAmax;

    public Activation Forward(Activation x)
    {
        using var scope = NewDisposeScope();
        using var gathered = BeforeForward?.Invoke(x);
        var input = gathered ?? x;
        Activation gate = w1.Forward(input), up = w3.Forward(input);
        using var hidden = Multiply(gate, up);
        var down = w2.Forward(hidden);
        if (AfterForward is { } after) down = after(down);
        down.Values.MoveToOuterDisposeScope();
        return down;
    }

    private Activation Multiply(Activation gate, Activation up)
    {
        if (!Fused) return new Activation(nn.functional.silu(gate.Values) * up.Values);
        var (hidden, amax) = FusedSwiGlu.Multiply(gate.Values, up.Values, w2.WantsInputAmax, KnownGradient.Offer(gate), KnownGradient.Offer(up));
        return new Activation(hidden, amax);
    }
}
