using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Quantization.Measurement;

/// <summary>Lets rank 0 measure and all ranks take its result: they must convert the same layers.</summary>
/// <param name="measurer">What measures.</param>
/// <param name="world">All ranks, for tensors in CPU memory.</param>
public sealed class AgreedMeasurer(ILayerMeasurer measurer, IProcessGroup world) : ILayerMeasurer
{
    /// <inheritdoc />
    public LayerMeasurement? Known(MeasuredLayer layer) => OfFirst(() => measurer.Known(layer));

    /// <inheritdoc />
    public LayerMeasurement Measure(MeasuredLayer layer) => OfFirst(() => measurer.Measure(layer))!;

    private LayerMeasurement? OfFirst(Func<LayerMeasurement?> ask)
    {
        if (world.Size == 1) return ask();
        using var scope = NewDisposeScope();
        var own = world.Rank == 0 ? ask() : null;
        // A measurement takes some time: never 0.
        var seconds = tensor(new[] { own?.HighPrecisionSeconds ?? 0, own?.RecipeSeconds ?? 0 });
        world.Broadcast(seconds, 0);
        var agreed = seconds.data<double>().ToArray();
        return agreed[0] > 0 ? new LayerMeasurement(agreed[0], agreed[1]) : null;
    }
}
