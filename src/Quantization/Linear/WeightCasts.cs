using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Quantization.Scaling;

namespace Titan.Quantization.Linear;

/// <summary>
/// The casts of weights that stay where they are: made once per optimizer step and use, not once per micro-batch, and once for both uses where one cast serves both. They cost a
/// byte per element and use between forward and backward, beside the 16 of an fp32 weight with its gradient and moments. Weights that are gathered on use are not kept.
/// </summary>
internal sealed class WeightCasts
{
    private readonly Lock guard = new();
    private readonly Dictionary<(IWeightSource Source, WeightUse Use), (Operand Operand, long Version)> known = [];

    /// <summary>A weight's cast under handles that the caller disposes; null for none, or where the weight has been written to since.</summary>
    public Operand? Find(IWeightSource source, WeightUse use)
    {
        lock (guard)
        {
            return known.TryGetValue((source, use), out var entry) && entry.Version == AtenGateway.Version(source.Parameter) ? entry.Operand.Alias() : null;
        }
    }

    /// <summary>Keeps a weight's cast in the place of one that is stale.</summary>
    /// <returns>The same operand under handles that the caller disposes.</returns>
    public Operand Keep(IWeightSource source, WeightUse use, Operand made)
    {
        lock (guard)
        {
            if (known.Remove((source, use), out var stale)) stale.Operand.Dispose();
            made.Detach();
            known[(source, use)] = (made, AtenGateway.Version(source.Parameter));
            return made.Alias();
        }
    }

    /// <summary>Forgets all casts: the weights have changed.</summary>
    public void Release()
    {
        lock (guard)
        {
            foreach (var (operand, _) in known.Values) operand.Dispose();
            known.Clear();
        }
    }
}
