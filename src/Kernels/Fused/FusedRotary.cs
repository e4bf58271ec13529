using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.ModelOps;
using static TorchSharp.torch;

namespace Titan.Kernels.Fused;

/// <summary><see cref="RotaryKernel"/> with gradients. Backward rotates by the opposite angle and keeps nothing; it reads a gradient as it lies and writes [B, S, H, D].</summary>
public sealed class FusedRotary : GuardedFunction
{
    private readonly RotaryTable table;
    private readonly bool headsFirst;
    private readonly GradientAmax? offer;

    private FusedRotary(RotaryTable table, bool headsFirst, GradientAmax? offer) => (this.table, this.headsFirst, this.offer) = (table, headsFirst, offer);

    /// <summary>Rotates x [B, S, H, D], S no longer than the table; returns x's shape and dtype.</summary>
    /// <param name="x">[B, S, H, D].</param>
    /// <param name="table">Cosines and sines.</param>
    /// <param name="headsFirst">Whether the result lies in memory as [B, H, S, D].</param>
    /// <param name="offer">Told the gradient's amax in backward; null where nobody asks.</param>
    public static Tensor Rotate(Tensor x, RotaryTable table, bool headsFirst = false, GradientAmax? offer = null)
    {
        if (x.dim() != 4 || x.Sizes()[3] != table.Width || x.Sizes()[1] > table.Length)
            throw new ArgumentException($"rotary: x [{string.Join(", ", x.shape)}]; expected [B, S, H, {table.Width}] with S up to {table.Length}");
        if (!RotaryKernel.Covers(x)) throw new ArgumentException($"rotary: x is {x.dtype} on {x.device}; this kernel takes fp32 and bf16 on the CPU or a GPU");
        return new FusedRotary(table, headsFirst, offer).Apply(x);
    }

    /// <inheritdoc />
    protected override Tensor Forward(Tensor[] inputs) => RotaryKernel.Rotate(inputs[0], table, headsFirst: headsFirst).Y;

    /// <inheritdoc />
    protected override Tensor?[] Backward(Tensor gradient)
    {
        var result = RotaryKernel.Rotate(gradient, table, backward: true, wantsAmax: offer is not null);
        offer?.Invoke(result.Y, result.Amax!);
        return [result.Y];
    }
}
