using System.Globalization;
using Titan.Abstractions;
using Titan.Quantization.Conversion;
using Titan.Quantization.Linear;
using static TorchSharp.torch;

namespace Titan.Quantization.Measurement;

/// <summary>The rule of <c>auto_filter_measured</c>: a layer is converted when it was measured to gain. Each shape is measured once.</summary>
/// <param name="measurer">What measures.</param>
/// <param name="engine">What executes the recipe.</param>
/// <param name="context">The run.</param>
public sealed class MeasuredFilter(ILayerMeasurer measurer, LinearEngine engine, ConversionContext context)
{
    private readonly Dictionary<(LinearShape, ScalarType), LayerMeasurement?> results = [];

    /// <summary>What the layer gains: high precision over recipe. Null when that is not known and cannot be measured, since this is a plan.</summary>
    public double? SpeedUp(ILinear layer)
    {
        if (context.Tokens <= 0)
            throw new TitanException(ExitCode.Usage, $"filter_fqns entry '{LayerFilter.MeasuredFilter}': it is not known how many tokens a step has; use it with a model that the trainer builds");
        var weight = layer.Weight.Parameter;
        if (!results.TryGetValue((layer.Shape, weight.dtype), out var result))
        {
            var measured = new MeasuredLayer(context.Tokens, layer.Shape, context.ComputeType, weight.dtype, engine);
            result = measurer.Known(measured) ?? (context.IsPlan ? null : measurer.Measure(measured));
            results.Add((layer.Shape, weight.dtype), result);
        }

        return result?.SpeedUp;
    }

    /// <summary>The rule that skips a layer with this gain, or null.</summary>
    public static string? SkippedBy(double? speedUp) => speedUp is { } gain && gain <= 1 ? $"{LayerFilter.MeasuredFilter}: {Text(gain)}" : null;

    /// <summary>What a plan must say: the shapes that only the run can measure.</summary>
    public string? Note()
    {
        var unknown = results.Where(r => r.Value is null).Select(r => r.Key.Item1.ToString()).ToList();
        return unknown.Count == 0 ? null
            : $"{LayerFilter.MeasuredFilter}: {unknown.Count} of {results.Count} shapes ({string.Join(", ", unknown)}) have not been measured on this device; the run will measure them with {context.Tokens} tokens " +
              "and may skip layers that are shown as converted";
    }

    /// <summary>A gain for people: 0.87x.</summary>
    public static string Text(double speedUp) => speedUp.ToString("F2", CultureInfo.InvariantCulture) + "x";
}
