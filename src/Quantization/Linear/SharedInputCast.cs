using Titan.Abstractions;
using Titan.Kernels.Aten;
using static TorchSharp.torch;

namespace Titan.Quantization.Linear;

/// <summary>
/// The newest casts of a layer's input. Layers that read the same tensor one after the other (wq, wk and wv; w1 and w3) then share them: one cast instead of three, and one
/// copy of the bytes that backward keeps. An input that came from other ranks as bytes has its casts offered before the first layer reads it.
/// </summary>
internal sealed class SharedInputCast
{
    private readonly Lock guard = new();
    private readonly List<(OperandCast Cast, int Contracted, Operand Operand)> casts = [];
    private WeakReference<Tensor>? input;
    private long version;
    private bool taken;

    /// <summary>The cast of <paramref name="x"/>, made by <paramref name="make"/> unless the newest input is the same tensor in the same state.</summary>
    /// <param name="x">The input.</param>
    /// <param name="wanted">The cast.</param>
    /// <param name="contracted">The dimension that the matmul contracts.</param>
    /// <param name="make">Makes it.</param>
    /// <param name="shared">Whether a layer before this one took the same cast.</param>
    /// <returns>The operand under handles that the caller disposes.</returns>
    public Operand Take(Tensor x, OperandCast wanted, int contracted, Func<Operand> make, out bool shared)
    {
        shared = false;
        // The tensor itself: nothing to share.
        if (wanted is OperandCast.HighPrecision) return make();
        lock (guard)
        {
            if (Find(x, wanted, contracted) is { } known)
            {
                (shared, taken) = (taken, true);
                return known;
            }

            // First: where the new cast fails, the old one must not be found again.
            Release();
            Keep(x, [(wanted, contracted, make())]);
            taken = true;
            return casts[0].Operand.Alias();
        }
    }

    /// <summary>The cast under handles that the caller disposes; null where there is none of <paramref name="x"/> in its state.</summary>
    public Operand? Find(Tensor x, OperandCast cast, int contracted)
    {
        lock (guard)
        {
            // Whoever writes to a tensor in place changes its version.
            if (input is null || !input.TryGetTarget(out var known) || !ReferenceEquals(known, x) || version != AtenGateway.Version(x)) return null;
            return casts.FirstOrDefault(c => c.Cast == cast && c.Contracted == contracted).Operand?.Alias();
        }
    }

    /// <summary>Keeps casts of <paramref name="x"/> that were not made here.</summary>
    public void Offer(Tensor x, IReadOnlyList<(OperandCast Cast, int Contracted, Operand Operand)> offered)
    {
        lock (guard)
        {
            Release();
            Keep(x, offered);
        }
    }

    /// <summary>Forgets the casts, so that their memory is free between steps.</summary>
    public void Release()
    {
        lock (guard)
        {
            foreach (var (_, _, operand) in casts) operand.Dispose();
            casts.Clear();
            (input, taken) = (null, false);
        }
    }

    private void Keep(Tensor x, IReadOnlyList<(OperandCast Cast, int Contracted, Operand Operand)> kept)
    {
        (input, version) = (new WeakReference<Tensor>(x), AtenGateway.Version(x));
        casts.AddRange(kept);
        // They outlive the scope of whoever made them.
        foreach (var (_, _, operand) in kept) operand.Detach();
    }
}
