using Titan.Abstractions;
using static Titan.Abstractions.TensorParallelStyle;
using static TorchSharp.torch;

namespace Titan.Plugins.Lora;

/// <summary>y = W x + (alpha / rank) B A x, around a linear layer that is frozen.</summary>
internal sealed class AdaptedLinear : LinearWrapper
{
    /// <summary>The names of the two layers that are added.</summary>
    public const string A = "lora_a", B = "lora_b";

    private readonly Linear a, b;
    private readonly double scale;

    public AdaptedLinear(nn.Module<Tensor, Tensor> inner, LoraOptions options) : base(nameof(AdaptedLinear), inner)
    {
        (a, b, scale) = (new Linear(Shape.K, options.Rank, device: META), new Linear(options.Rank, Shape.N, device: META), options.Alpha / options.Rank);
        register_module(A, a);
        register_module(B, b);
    }

    public override Activation Forward(Activation x)
    {
        using var scope = NewDisposeScope();
        return new Activation((RunInner(x) + scale * b.call(a.call(x.Values))).MoveToOuterDisposeScope());
    }

    // Colwise: A x is whole on every rank, and B makes the rank's features of it. Rowwise: A x is a partial sum, and so is B A x.
    protected override IReadOnlyList<(string Name, TensorParallelStyle Style)> SplitAdded(TensorParallelStyle own) => own switch
    {
        Colwise => [(A, SequenceParallel), (B, Colwise)],
        Rowwise => [(A, Rowwise), (B, SequenceParallel)],
        _ => [],
    };
}
