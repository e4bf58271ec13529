using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Models;

/// <summary>Rotary position embedding (Su et al., 2021).</summary>
/// <param name="Theta">Base of the frequencies.</param>
/// <param name="Layout">Which elements of a head turn together.</param>
/// <param name="Scaling">What stretches the context; null for nothing.</param>
public sealed record RotaryArgs(double Theta, RotaryLayout Layout = RotaryLayout.Pairs, RotaryScaling? Scaling = null)
{
    /// <summary>How many elements of a head turn; null for all.</summary>
    public int? Dimension { get; init; }

    /// <summary>The angle per position of each pair: [headDimension / 2].</summary>
    /// <param name="headDimension">Elements that turn.</param>
    /// <param name="length">The longest sequence that the model is built for.</param>
    public float[] Frequencies(int headDimension, int length)
    {
        var frequencies = new float[headDimension / 2];
        for (var i = 0; i < frequencies.Length; i++)
        {
            var frequency = 1.0 / Math.Pow(Theta, 2.0 * i / headDimension);
            frequencies[i] = (float)(ScalingFor(length)?.Scale(new RotaryPair(frequency, i, headDimension, Theta)) ?? frequency);
        }

        return frequencies;
    }

    /// <summary>The angles of positions 0 to <paramref name="length"/> - 1, [S, D / 2] in fp32, outside of any dispose scope.</summary>
    /// <param name="length">S, the longest sequence that the model is built for.</param>
    /// <param name="headDimension">Dimension of a head; D is <see cref="Dimension"/> where that is given.</param>
    /// <param name="device">Where.</param>
    public RotaryAngles Angles(int length, int headDimension, Device device)
    {
        using var scope = NewDisposeScope();
        var angles = arange(length, dtype: ScalarType.Float32).unsqueeze(1) * tensor(Frequencies(Dimension ?? headDimension, length)).unsqueeze(0);
        var magnitude = ScalingFor(length)?.Magnitude ?? 1;
        return new RotaryAngles(Made(angles.cos()), Made(angles.sin()), Layout);

        Tensor Made(Tensor table) => (magnitude == 1 ? table : table * magnitude).to(device).DetachFromDisposeScope();
    }

    private RotaryScaling? ScalingFor(int length) => Scaling is { } scaling && scaling.Serves(length) ? scaling : null;
}

/// <summary>Two elements of a head that turn together.</summary>
/// <param name="Frequency">Their angle per position in the plain embedding.</param>
/// <param name="Index">Which pair, from 0.</param>
/// <param name="Dimension">Elements of a head that turn.</param>
/// <param name="Theta">Base of the frequencies.</param>
public readonly record struct RotaryPair(double Frequency, int Index, int Dimension, double Theta);
