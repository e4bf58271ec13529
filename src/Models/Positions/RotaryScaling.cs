namespace Titan.Models;

/// <summary>Makes rotary frequencies serve longer sequences than a model was first trained on.</summary>
public abstract record RotaryScaling
{
    /// <summary>The frequency in place of one of the plain embedding.</summary>
    public abstract double Scale(RotaryPair pair);

    /// <summary>Whether a model for such sequences is scaled at all.</summary>
    /// <param name="length">The longest sequence.</param>
    public virtual bool Serves(long length) => true;

    /// <summary>What rotated queries and keys are multiplied by.</summary>
    public virtual double Magnitude => 1;

    /// <summary>Llama 3.1's and Llama 4's: short wavelengths stay, long ones are stretched, those between are blended.</summary>
    /// <param name="Factor">How far long wavelengths are stretched.</param>
    /// <param name="LowFrequency">Wavelengths above original / this are long.</param>
    /// <param name="HighFrequency">Wavelengths below original / this are short.</param>
    /// <param name="OriginalContext">The sequence length of the first training.</param>
    public sealed record ByWavelength(double Factor, double LowFrequency, double HighFrequency, double OriginalContext) : RotaryScaling
    {
        /// <inheritdoc />
        public override double Scale(RotaryPair pair)
        {
            var (frequency, wavelength) = (pair.Frequency, 2 * Math.PI / pair.Frequency);
            if (wavelength > OriginalContext / LowFrequency) return frequency / Factor;
            // Where both bounds are one (Llama 4) there is nothing between.
            if (wavelength < OriginalContext / HighFrequency || LowFrequency == HighFrequency) return frequency;
            var smooth = (OriginalContext / wavelength - LowFrequency) / (HighFrequency - LowFrequency);
            return (1 - smooth) * frequency / Factor + smooth * frequency;
        }
    }

    /// <summary>
    /// YaRN (Peng et al., 2023): pairs that turn often within the original context keep their frequency, those that turn rarely are stretched, and a ramp over the pairs' indices lies between.
    /// </summary>
    /// <param name="Factor">How far slow pairs are stretched.</param>
    /// <param name="OriginalContext">The sequence length of the first training.</param>
    /// <param name="FastTurns">A pair that turns so often within it keeps its frequency.</param>
    /// <param name="SlowTurns">A pair that turns so rarely within it is stretched.</param>
    public sealed record Yarn(double Factor, double OriginalContext, double FastTurns = 32, double SlowTurns = 1) : RotaryScaling
    {
        /// <summary>Whether the ends of the ramp are whole pairs (DeepSeek's form).</summary>
        public bool WholePairs { get; init; }

        /// <summary>Whether shorter sequences than the original context get the plain embedding (upstream's DeepSeek).</summary>
        public bool BeyondOriginalOnly { get; init; }

        /// <inheritdoc cref="RotaryScaling.Magnitude" />
        public double Attention { get; init; } = 1;

        /// <inheritdoc />
        public override double Magnitude => Attention;

        /// <inheritdoc />
        public override bool Serves(long length) => !BeyondOriginalOnly || length > OriginalContext;

        /// <inheritdoc />
        public override double Scale(RotaryPair pair)
        {
            double low = PairThatTurns(FastTurns, pair), high = PairThatTurns(SlowTurns, pair);
            if (WholePairs) (low, high) = (Math.Max(Math.Floor(low), 0), Math.Min(Math.Ceiling(high), pair.Dimension - 1));
            if (high <= low) high = low + 0.001;
            var stretched = Math.Clamp((pair.Index - low) / (high - low), 0, 1);
            return pair.Frequency / Factor * stretched + pair.Frequency * (1 - stretched);
        }

        /// <summary>The index, with a fraction, of the pair that turns so often within the original context.</summary>
        private double PairThatTurns(double turns, RotaryPair pair) => pair.Dimension * Math.Log(OriginalContext / (turns * 2 * Math.PI)) / (2 * Math.Log(pair.Theta));
    }
}
