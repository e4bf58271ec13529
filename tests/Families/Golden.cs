using Titan.Training.Checkpoints;
using static TorchSharp.torch;

namespace Titan.Families.Tests;

/// <summary>What upstream's own modules computed.</summary>
internal static class Golden
{
    /// <summary>The tensors of a file by name.</summary>
    public static Dictionary<string, Tensor> Of(string name)
    {
        var path = Path.Combine(AppContext.BaseDirectory, "golden", $"{name}.safetensors");
        return SafetensorsFile.ReadHeader(path).ToDictionary(e => e.Key, e => SafetensorsFile.Read(path, e.Value));
    }

    /// <summary>Equal to a part of the largest expected value.</summary>
    public static void Close(Tensor expected, Tensor actual, double tolerance, string what)
    {
        using var scope = NewDisposeScope();
        Assert.Equal(expected.shape, actual.shape);
        Tensor a = expected.to(ScalarType.Float64), b = actual.to(ScalarType.Float64);
        var (difference, largest) = ((a - b).abs().max().item<double>(), a.abs().max().item<double>());
        Assert.True(difference <= tolerance * largest, $"{what}: off by {difference / largest:g3} of the largest, {largest:g3}; expected {tolerance}");
    }

    /// <summary>Signal to noise, in dB.</summary>
    public static double Decibels(Tensor expected, Tensor actual)
    {
        using var scope = NewDisposeScope();
        Tensor a = expected.to(ScalarType.Float64), b = actual.to(ScalarType.Float64);
        return 20 * Math.Log10(a.norm().item<double>() / (a - b).norm().item<double>());
    }
}
