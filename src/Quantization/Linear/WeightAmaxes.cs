using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.Casts;
using static TorchSharp.torch;

namespace Titan.Quantization.Linear;

/// <summary>
/// The amaxes of weights of which other ranks multiply with other parts, for casts with one scale for all: reduced together, once per optimizer step. Without, each would be
/// reduced by itself, in forward and again in backward, and waiting for so many small messages takes longer than moving the activations.
/// </summary>
internal sealed class WeightAmaxes(ICastKernels kernels)
{
    private readonly List<QuantizedLinear> layers = [];
    private readonly Dictionary<IWeightSource, (Tensor Amax, long Version)> known = [];

    /// <summary>Adds a layer whose weight is cast with one scale in one of its matmuls.</summary>
    public void Add(QuantizedLinear layer) => layers.Add(layer);

    /// <summary>The amax over all parts; null where it is not known, or the weight was written to since.</summary>
    public Tensor? Of(IWeightSource source) =>
        known.TryGetValue(source, out var entry) && AtenGateway.Version(source.Parameter) == entry.Version ? entry.Amax : null;

    /// <summary>After the weights have changed. Every rank calls it.</summary>
    public void Refresh()
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        foreach (var (amax, _) in known.Values) amax.Dispose();
        known.Clear();
        // A layer whose part is itself shared out, to be gathered on use, has only some rows here.
        foreach (var parts in layers.Where(l => l.HasResidentWeight).GroupBy(l => l.Weight.PartsGroup))
        {
            if (parts.Key is not { } group) continue;
            var split = parts.Select(l => l.Weight).ToList();
            var all = stack([.. split.Select(w => KnownAmaxes.Of(w.Parameter)?.max() ?? kernels.Amax(w.Parameter))]);
            group.AllReduce(all, ReduceOperation.Max);
            foreach (var (weight, amax) in split.Zip(all.unbind(0))) known[weight] = (amax.clone().DetachFromDisposeScope(), AtenGateway.Version(weight.Parameter));
        }
    }
}
