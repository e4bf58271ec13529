using static TorchSharp.torch;

namespace Titan.Training.Models.Llama3;

/// <summary>
/// Rotary position embedding (Su et al., 2021) on adjacent pairs (Meta's interleaved layout) with Llama 3.1's frequency scaling: factor 8, low 1, high 4, original context 8192.
/// </summary>
public static class RotaryEmbedding
{
    private const double Factor = 8, LowFrequency = 1, HighFrequency = 4, OriginalContext = 8192;

    /// <summary>The angle per position of each pair: [headDimension / 2].</summary>
    public static float[] Frequencies(int headDimension, double theta)
    {
        var frequencies = new float[headDimension / 2];
        for (var i = 0; i < frequencies.Length; i++)
        {
            var frequency = 1.0 / Math.Pow(theta, 2.0 * i / headDimension);
            var wavelength = 2 * Math.PI / frequency;
            if (wavelength > OriginalContext / LowFrequency) frequency /= Factor;
            else if (wavelength >= OriginalContext / HighFrequency)
            {
                var smooth = (OriginalContext / wavelength - LowFrequency) / (HighFrequency - LowFrequency);
                frequency = (1 - smooth) * frequency / Factor + smooth * frequency;
            }

            frequencies[i] = (float)frequency;
        }

        return frequencies;
    }

    /// <summary>Cosines and sines, each [S, headDimension / 2] in fp32.</summary>
    public static (Tensor Cos, Tensor Sin) Tables(int length, int headDimension, double theta, Device device)
    {
        using var scope = NewDisposeScope();
        var angles = arange(length, dtype: ScalarType.Float32).unsqueeze(1) * tensor(Frequencies(headDimension, theta)).unsqueeze(0);
        return (angles.cos().to(device).DetachFromDisposeScope(), angles.sin().to(device).DetachFromDisposeScope());
    }

    /// <summary>Rotates the pairs of x [B, S, H, D] by position, in fp32; returns x's dtype.</summary>
    public static Tensor Apply(Tensor x, Tensor cos, Tensor sin)
    {
        using var scope = NewDisposeScope();
        var s = x.shape;
        var pairs = x.to(ScalarType.Float32).reshape(s[0], s[1], s[2], s[3] / 2, 2);
        var even = pairs.select(-1, 0);
        var odd = pairs.select(-1, 1);
        var c = cos.narrow(0, 0, s[1]).unsqueeze(1);
        var n = sin.narrow(0, 0, s[1]).unsqueeze(1);
        return stack([even * c - odd * n, even * n + odd * c], -1).reshape(s).to(x.dtype).MoveToOuterDisposeScope();
    }
}
