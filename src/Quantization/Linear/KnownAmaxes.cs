using System.Runtime.CompilerServices;
using Titan.Kernels.Aten;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Titan.Quantization.Linear;

/// <summary>What the optimizer's pass has found out about the weights that it wrote: their amaxes, so that no cast reads a weight for its amax alone. It counts as long as nobody writes to the weight again.</summary>
public static class KnownAmaxes
{
    private static readonly ConditionalWeakTable<Parameter, Known> Table = [];

    /// <summary>The weights of which a layer wants the amax: those that are cast with one scale from what lies here.</summary>
    /// <param name="model">The model, converted and parallelised.</param>
    public static IReadOnlySet<Parameter> WantedIn(nn.Module model) =>
        model.modules().OfType<QuantizedLinear>().Where(l => l.WantsWeightAmax).Select(l => l.Weight.Parameter).ToHashSet<Parameter>(ReferenceEqualityComparer.Instance);

    /// <summary>Keeps the amax of a weight as it is now.</summary>
    /// <param name="weight">The weight.</param>
    /// <param name="parts">fp32 [P], whose maximum it is; the handle stays the caller's.</param>
    public static void Tell(Parameter weight, Tensor parts)
    {
        if (Table.TryGetValue(weight, out var old)) old.Parts.Dispose();
        Table.AddOrUpdate(weight, new Known(parts.alias().DetachFromDisposeScope(), AtenGateway.Version(weight)));
    }

    /// <summary>fp32 [P], whose maximum is the amax of the weight as it is now; null where that is not known. It stays this table's.</summary>
    internal static Tensor? Of(Parameter weight) => Table.TryGetValue(weight, out var known) && known.Version == AtenGateway.Version(weight) ? known.Parts : null;

    private sealed record Known(Tensor Parts, long Version);
}
