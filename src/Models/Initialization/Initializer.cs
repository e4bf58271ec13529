using static TorchSharp.torch;

namespace Titan.Models;

/// <summary>How a parameter is filled at the start, from the global generator.</summary>
public abstract record Initializer
{
    /// <summary>Ones, as the weights of norms.</summary>
    public static Initializer Ones { get; } = new Constant(1);

    /// <summary>Zeros, as biases.</summary>
    public static Initializer Zeros { get; } = new Constant(0);

    /// <summary>Fills a whole parameter on the CPU.</summary>
    public abstract void Fill(Tensor whole);

    /// <summary>One number.</summary>
    /// <param name="Value">It.</param>
    public sealed record Constant(double Value) : Initializer
    {
        /// <inheritdoc />
        public override void Fill(Tensor whole) => nn.init.constant_(whole, Value);
    }

    /// <summary>Normal numbers with mean 0.</summary>
    /// <param name="Deviation">Their standard deviation.</param>
    public sealed record Normal(double Deviation) : Initializer
    {
        /// <inheritdoc />
        public override void Fill(Tensor whole) => nn.init.normal_(whole, 0, Deviation);
    }

    /// <summary>Normal numbers with mean 0, cut at two bounds.</summary>
    /// <param name="Deviation">Their standard deviation before they are cut.</param>
    /// <param name="Bound">The largest magnitude.</param>
    public sealed record Truncated(double Deviation, double Bound) : Initializer
    {
        /// <inheritdoc />
        public override void Fill(Tensor whole) => TruncatedNormal.Fill(whole, Deviation, Bound);
    }
}
