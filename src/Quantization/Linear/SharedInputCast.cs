using Titan.Abstractions;
using Titan.Kernels.Aten;
using static TorchSharp.torch;

namespace Titan.Quantization.Linear;

/// <summary>
/// The newest cast of a layer's input. Layers that read the same tensor one after the other (wq, wk and wv; w1 and w3) then share it: one cast instead of three, and one
/// copy of the bytes that backward keeps.
/// </summary>
internal sealed class SharedInputCast
{
    private readonly Lock guard = new();
    private WeakReference<Tensor>? input;
    private long version;
    private OperandCast? cast;
    private Operand? operand;

    /// <summary>The cast of <paramref name="x"/>, made by <paramref name="make"/> unless the last call was for the same tensor in the same state.</summary>
    /// <returns>The operand under handles that the caller disposes.</returns>
    public Operand Take(Tensor x, OperandCast wanted, Func<Operand> make)
    {
        // The tensor itself: nothing to share.
        if (wanted is OperandCast.HighPrecision) return make();
        lock (guard)
        {
            // Whoever writes to a tensor in place changes its version.
            var now = AtenGateway.Version(x);
            if (operand is not null && input!.TryGetTarget(out var known) && ReferenceEquals(known, x) && version == now && cast == wanted) return operand.Alias();
            // First: where the new cast fails, the old one must not be found again.
            Release();
            (input, version, cast, operand) = (new WeakReference<Tensor>(x), now, wanted, make());
            // It outlives the scope of the layer that made it.
            foreach (var tensor in new[] { operand.Quantized?.Data, operand.Quantized?.Scale, operand.Plain }) tensor?.DetachFromDisposeScope();
            return operand.Alias();
        }
    }

    /// <summary>Forgets the cast, so that its memory is free between steps.</summary>
    public void Release()
    {
        lock (guard)
        {
            operand?.Dispose();
            (input, operand) = (null, null);
        }
    }
}
