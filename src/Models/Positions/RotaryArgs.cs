using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Models;

/// <summary>Rotary position embedding (Su et al., 2021).</summary>
/// <param name="Theta">Base of the frequencies.</param>
/// <param name="Layout">Which elements of a head turn together.</param>
/// <param name="Scaling">What stretches the context; null for nothing.</param>
public sealed record RotaryArgs(double Theta, RotaryLayout Layout = RotaryLayout.Pairs, RotaryScaling? Scaling = null)
{
    /// <summary>The angle per position of each pair: [headDimension / 2].</summary>
    public float[] Frequencies(int headDimension)
    {
        var frequencies = new float[headDimension / 2];
        for (var i = 0; i < frequencies.Length; i++)
        {
            var frequency = 1.0 / Math.Pow(Theta, 2.0 * i / headDimension);
            frequencies[i] = (float)(Scaling?.Scale(frequency) ?? frequency);
        }

        return frequencies;
    }

    /// <summary>The angles of positions 0 to <paramref name="length"/> - 1, [S, headDimension / 2] in fp32, outside of any dispose scope.</summary>
    public RotaryAngles Angles(int length, int headDimension, Device device)
    {
        using var scope = NewDisposeScope();
        var angles = arange(length, dtype: ScalarType.Float32).unsqueeze(1) * tensor(Frequencies(headDimension)).unsqueeze(0);
        return new RotaryAngles(angles.cos().to(device).DetachFromDisposeScope(), angles.sin().to(device).DetachFromDisposeScope(), Layout);
    }
}

/// <summary>Makes rotary frequencies serve longer sequences than a model was first trained on.</summary>
public abstract record RotaryScaling
{
    /// <summary>The frequency in place of one of the plain embedding.</summary>
    public abstract double Scale(double frequency);

    /// <summary>Llama 3.1's: short wavelengths stay, long ones are stretched, those between are blended.</summary>
    /// <param name="Factor">How far long wavelengths are stretched.</param>
    /// <param name="LowFrequency">Wavelengths above original / this are long.</param>
    /// <param name="HighFrequency">Wavelengths below original / this are short.</param>
    /// <param name="OriginalContext">The sequence length of the first training.</param>
    public sealed record ByWavelength(double Factor, double LowFrequency, double HighFrequency, double OriginalContext) : RotaryScaling
    {
        /// <inheritdoc />
        public override double Scale(double frequency)
        {
            var wavelength = 2 * Math.PI / frequency;
            if (wavelength > OriginalContext / LowFrequency) return frequency / Factor;
            if (wavelength < OriginalContext / HighFrequency) return frequency;
            var smooth = (OriginalContext / wavelength - LowFrequency) / (HighFrequency - LowFrequency);
            return (1 - smooth) * frequency / Factor + smooth * frequency;
        }
    }
}
