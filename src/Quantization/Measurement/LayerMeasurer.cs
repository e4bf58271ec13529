using Titan.Abstractions;
using Titan.Quantization.Linear;
using static TorchSharp.torch;

namespace Titan.Quantization.Measurement;

/// <summary>What to measure: a layer as a run will execute it.</summary>
/// <param name="Tokens">M.</param>
/// <param name="Shape">K x N.</param>
/// <param name="Compute">Dtype of activations.</param>
/// <param name="Master">Dtype of the weight.</param>
/// <param name="Engine">What executes the recipe.</param>
public sealed record MeasuredLayer(long Tokens, LinearShape Shape, ScalarType Compute, ScalarType Master, LinearEngine Engine);

/// <summary>Measures what a recipe gains for a layer.</summary>
public interface ILayerMeasurer
{
    /// <summary>What is known without measuring, or null.</summary>
    LayerMeasurement? Known(MeasuredLayer layer);

    /// <summary>Measures the layer on this device.</summary>
    LayerMeasurement Measure(MeasuredLayer layer);
}

/// <summary>Runs the layer both ways, interleaved.</summary>
/// <param name="clock">The clock.</param>
/// <param name="device">Where the run will compute, asked for when something is measured; null for the CPU.</param>
public sealed class LayerMeasurer(TimeProvider clock, Func<Device>? device = null) : ILayerMeasurer
{
    private readonly InterleavedTimer timer = new(clock, warmUps: 1, repetitions: 5, budget: TimeSpan.FromSeconds(10));
    private LinearEngine? warm;

    /// <inheritdoc />
    public LayerMeasurement? Known(MeasuredLayer layer) => null;

    /// <inheritdoc />
    public LayerMeasurement Measure(MeasuredLayer layer)
    {
        if (warm != layer.Engine)
        {
            var multiple = 2 * layer.Engine.Recipe.RequiredMultiple;
            using var small = new TimedLayer(multiple, new LinearShape(multiple, multiple), layer.Compute, layer.Master, between: false, device?.Invoke());
            CodeWarmUp.Run(small.HighPrecision(layer.Engine), small.By(layer.Engine));
            warm = layer.Engine;
        }

        using var timed = new TimedLayer(layer.Tokens, layer.Shape, layer.Compute, layer.Master, between: false, device?.Invoke());
        var times = timed.Time(timer, timed.HighPrecision(layer.Engine), timed.By(layer.Engine));
        return new LayerMeasurement(times[0].Median, times[1].Median);
    }
}
