using Titan.Kernels.Aten;
using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Quantization.Linear;

/// <summary>
/// The casts of a gradient that came from other ranks as bytes, until the backward of the layer that it belongs to takes them. Autograd hands the gradient on under another
/// handle, so it is known by its memory; the entry keeps that memory, so that nothing else can come to lie there.
/// </summary>
internal sealed class OfferedGradientCast
{
    private readonly Lock guard = new();
    private readonly List<(OperandCast Cast, int Contracted, Operand Operand)> casts = [];
    private Tensor? gradient;
    private long version;

    /// <summary>Keeps the casts of <paramref name="tensor"/> in the place of those before.</summary>
    public void Offer(Tensor tensor, IReadOnlyList<(OperandCast Cast, int Contracted, Operand Operand)> offered)
    {
        lock (guard)
        {
            Release();
            gradient = tensor.alias().DetachFromDisposeScope();
            version = AtenGateway.Version(tensor);
            casts.AddRange(offered);
            foreach (var (_, _, operand) in offered) operand.Detach();
        }
    }

    /// <summary>A cast of <paramref name="tensor"/>, under handles of the caller's scope; null where none was offered, or the tensor was written to since.</summary>
    public Operand? Take(Tensor tensor, OperandCast cast, int contracted)
    {
        lock (guard)
        {
            if (gradient is null || !tensor.shape.AsSpan().SequenceEqual(gradient.shape) || tensor.dtype != gradient.dtype || !tensor.is_contiguous()
                || TensorMemory.Identity(tensor) != TensorMemory.Identity(gradient) || AtenGateway.Version(tensor) != version) return null;
            var at = casts.FindIndex(c => c.Cast == cast && c.Contracted == contracted);
            if (at < 0) return null;
            // Each is wanted once; when the last is taken, nothing keeps the gradient longer than autograd does.
            using var own = casts[at].Operand;
            casts.RemoveAt(at);
            var taken = own.Alias();
            if (casts.Count == 0) Release();
            return taken;
        }
    }

    /// <summary>Forgets the casts.</summary>
    public void Release()
    {
        lock (guard)
        {
            foreach (var (_, _, operand) in casts) operand.Dispose();
            casts.Clear();
            gradient?.Dispose();
            gradient = null;
        }
    }
}
