using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Models;

/// <summary>The arguments of a norm.</summary>
public abstract record NormArgs
{
    /// <summary>Parameters over a dimension.</summary>
    public abstract long Parameters(long dimension);

    /// <summary>Makes the norm, uninitialised, as a child of a module.</summary>
    internal INorm Register(nn.Module parent, string name, long dimension, ModelContext context)
    {
        var norm = Create(dimension, context);
        parent.register_module(name, (nn.Module)norm);
        return norm;
    }

    /// <summary>Makes the norm, uninitialised: a module with its weight in a source.</summary>
    protected abstract INorm Create(long dimension, ModelContext context);

    /// <summary>Root-mean-square normalisation with a weight.</summary>
    /// <param name="Epsilon">Added to the mean square.</param>
    public sealed record Rms(double Epsilon) : NormArgs
    {
        /// <inheritdoc />
        public override long Parameters(long dimension) => dimension;

        /// <inheritdoc />
        protected override INorm Create(long dimension, ModelContext context) => new RmsNorm(dimension, Epsilon, context.Device, context.Type);
    }

    /// <summary>Layer normalisation with a weight and a bias.</summary>
    /// <param name="Epsilon">Added to the variance.</param>
    public sealed record Layer(double Epsilon) : NormArgs
    {
        /// <inheritdoc />
        public override long Parameters(long dimension) => 2 * dimension;

        /// <inheritdoc />
        protected override INorm Create(long dimension, ModelContext context) => new LayerNorm(dimension, Epsilon, context.Device, context.Type);
    }
}
