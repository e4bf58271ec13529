using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Models;

/// <summary>Experts that are SwiGLU layers: w2(silu(w1 x) * w3 x), stacked as w1 and w3 [E, H, D], w2 [E, D, H].</summary>
/// <param name="Hidden">H.</param>
public sealed record SwiGluExpertArgs(long Hidden) : ExpertArgs
{
    /// <inheritdoc />
    public override long Hidden { get; init; } = Hidden;

    /// <inheritdoc />
    public override long Parameters(long dimension) => 3 * dimension * Hidden;

    /// <inheritdoc />
    public override ExpertBank Create(int experts, long dimension, ModelContext context) => new SwiGluExperts(experts, dimension, Hidden, context);
}

internal sealed class SwiGluExperts : ExpertBank
{
    private readonly WeightSlot w1;
    private readonly WeightSlot w2;
    private readonly WeightSlot w3;

    public SwiGluExperts(int experts, long dimension, long hidden, ModelContext context) : base("GroupedExperts")
    {
        w1 = Register("w1", context, experts, hidden, dimension);
        w2 = Register("w2", context, experts, dimension, hidden);
        w3 = Register("w3", context, experts, hidden, dimension);
    }

    public override IReadOnlyList<(string Name, TensorParallelStyle Style)> Split => [("w1", TensorParallelStyle.Colwise), ("w2", TensorParallelStyle.Rowwise), ("w3", TensorParallelStyle.Colwise)];

    protected override Tensor Compute(Activation rows, RowGroups groups)
    {
        Activation gate = new(Matmul.Multiply(rows, groups, w1.Source)), up = new(Matmul.Multiply(rows, groups, w3.Source));
        using var hidden = Kernels.SwiGlu(gate, up, wantsAmax: false);
        return Matmul.Multiply(hidden, groups, w2.Source);
    }
}
