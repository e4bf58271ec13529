using TorchSharp;
using static TorchSharp.torch;

namespace Titan.Quantization.Measurement;

/// <summary>
/// Random numbers for measurements: the same on every device, and without touching the generators of the run that asks for them. They are drawn on the CPU and moved, because
/// TorchSharp's <c>new Generator(seed, device)</c> makes a generator of the CPU whatever the device is, and operations on a GPU refuse that.
/// </summary>
/// <param name="seed">The seed.</param>
/// <param name="device">Where the numbers go.</param>
public sealed class SeededNumbers(ulong seed, Device device) : IDisposable
{
    /// <summary>The numbers that are drawn for one tensor at most; a larger one repeats them. The CPU draws with one thread.</summary>
    public const long MostDrawn = 1 << 24;

    private readonly Generator generator = new(seed);

    /// <summary>Normally distributed numbers.</summary>
    /// <param name="type">Their dtype.</param>
    /// <param name="shape">Their shape.</param>
    public Tensor Normal(ScalarType type, params long[] shape) => Placed(count => randn([count], generator: generator), type, shape);

    /// <summary>Whole numbers from 0 to <paramref name="limit"/> - 1, int64.</summary>
    /// <param name="limit">The first number that is too large.</param>
    /// <param name="shape">Their shape.</param>
    public Tensor Below(long limit, params long[] shape) => Placed(count => randint(0, limit, [count], dtype: ScalarType.Int64, generator: generator), ScalarType.Int64, shape);

    /// <inheritdoc />
    public void Dispose() => generator.Dispose();

    private Tensor Placed(Func<long, Tensor> draw, ScalarType type, long[] shape)
    {
        using var scope = NewDisposeScope();
        var count = shape.Aggregate(1L, (product, length) => product * length);
        var drawn = draw(Math.Min(count, MostDrawn)).to(type).to(device);
        var all = count > MostDrawn ? drawn.repeat((count + MostDrawn - 1) / MostDrawn).narrow(0, 0, count) : drawn;
        return all.view(shape).MoveToOuterDisposeScope();
    }
}
