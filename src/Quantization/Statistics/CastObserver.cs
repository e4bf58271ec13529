using System.Diagnostics;
using Titan.Kernels.Aten;
using Titan.Quantization.Linear;
using Titan.Quantization.Scaling;
using static TorchSharp.torch;

namespace Titan.Quantization.Statistics;

/// <summary>
/// Takes the statistics of the casts that it is shown, one for each layer and operand: the first. What activation checkpointing computes again is the same cast once more,
/// and is not measured twice.
/// </summary>
public sealed class CastObserver
{
    private readonly Dictionary<(string Layer, string Operand), CastStatistics> seen = [];
    private readonly Stopwatch watch = new();
    private CastStatistics? lastInput;

    /// <summary>What was measured, in the order of the casts.</summary>
    public IReadOnlyList<(string Layer, string Operand, CastStatistics Statistics)> Results => [.. seen.Select(s => (s.Key.Layer, s.Key.Operand, s.Value))];

    /// <summary>The time that measuring took.</summary>
    public TimeSpan Elapsed => watch.Elapsed;

    /// <summary>Measures a cast.</summary>
    internal void Observe(string layer, string operand, Tensor x, Operand cast) => Take(layer, operand, () => CastStatistics.Of(x, cast));

    /// <summary>Measures the cast of a layer's input. One that the layer shares with the layer before it has that layer's numbers.</summary>
    internal void ObserveInput(string layer, Tensor x, Operand cast, bool shared)
    {
        var taken = Take(layer, CastName.Input, () => shared && lastInput is { } same ? same : CastStatistics.Of(Matrix(x), cast));
        if (!shared) lastInput = taken;
    }

    /// <returns>What was measured now; null when the cast was known.</returns>
    private CastStatistics? Take(string layer, string operand, Func<CastStatistics> measure)
    {
        if (seen.ContainsKey((layer, operand))) return null;
        watch.Start();
        try
        {
            return seen[(layer, operand)] = measure();
        }
        finally
        {
            watch.Stop();
        }
    }

    private static Tensor Matrix(Tensor x) => x.numel() == 0 ? x : x.reshape(-1, x.Sizes()[^1]);
}
