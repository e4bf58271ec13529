using Titan.Abstractions;
using Titan.Quantization.Linear;
using static TorchSharp.torch;

namespace Titan.Quantization.Measurement;

/// <summary>
/// A linear layer X[M,K] · Wᵀ[K,N] with random input, weight and upstream gradient, to be run forward and backward in high precision or by recipes that share its
/// weight and its data.
/// </summary>
public sealed class TimedLayer : IDisposable
{
    private readonly Abstractions.Linear layer;
    private readonly Tensor input, gradient;
    private readonly bool between;
    private readonly Device device;

    /// <summary>Makes the data.</summary>
    /// <param name="tokens">M.</param>
    /// <param name="shape">K x N.</param>
    /// <param name="compute">Dtype of X and G.</param>
    /// <param name="master">Dtype of W.</param>
    /// <param name="between">Whether the layer stands between LayerNorm (no affine) and Sigmoid, as in torchao's microbenchmark.</param>
    /// <param name="device">Where; null for the CPU.</param>
    public TimedLayer(long tokens, LinearShape shape, ScalarType compute, ScalarType master, bool between, Device? device = null)
    {
        using var scope = NewDisposeScope();
        (this.between, this.device) = (between, device ?? CPU);
        Shape = shape;
        using var random = new SeededNumbers(0, this.device);
        layer = new Abstractions.Linear(shape.K, shape.N, device: this.device, type: master);
        using (no_grad()) layer.Weight.Parameter.copy_(random.Normal(master, shape.N, shape.K) / Math.Sqrt(shape.K));
        input = random.Normal(compute, tokens, shape.K).requires_grad_().MoveToOuterDisposeScope();
        gradient = random.Normal(compute, tokens, shape.N).MoveToOuterDisposeScope();
        input.DetachFromDisposeScope();
        gradient.DetachFromDisposeScope();
        layer.Weight.Parameter.DetachFromDisposeScope();
    }

    /// <summary>K x N.</summary>
    public LinearShape Shape { get; }

    /// <summary>Calls in a row that are timed together: a GPU works on one while the next is on its way, as in a step. One alone would be as slow as its launches.</summary>
    public static int Calls(Device device) => device.type == TorchSharp.DeviceType.CUDA ? 10 : 1;

    /// <summary>Times arms of this layer, interleaved.</summary>
    /// <returns>In their order, of one call.</returns>
    public IReadOnlyList<Timing> Time(InterleavedTimer timer, params IReadOnlyList<Action> arms) => [.. timer.Time(arms).Select(t => t.Each(Calls(device)))];

    /// <summary>The layer in high precision, with the products that a recipe's layers would be compared with.</summary>
    /// <param name="engine">Of the recipe.</param>
    public Action HighPrecision(LinearEngine engine) => () => Run(layer, () => layer.Kernels = engine.ModelKernels);

    /// <summary>The layer by a recipe.</summary>
    public Action By(LinearEngine engine)
    {
        var quantized = new QuantizedLinear(layer, engine);
        return () => Run(quantized, engine.AfterOptimizerStep);
    }

    /// <summary>Bytes that a layer of this size needs at most while it runs, as an upper estimate: every matrix in a handful of copies.</summary>
    public static long Bytes(long tokens, LinearShape shape) => 20 * (tokens * shape.K + shape.K * shape.N + tokens * shape.N);

    /// <inheritdoc />
    public void Dispose()
    {
        input.grad?.Dispose();
        layer.Weight.Parameter.grad?.Dispose();
        input.Dispose();
        gradient.Dispose();
        layer.Dispose();
    }

    /// <summary>Runs forward and backward as often as is timed together.</summary>
    private void Run(nn.Module<Tensor, Tensor> linear, Action before)
    {
        for (var i = 0; i < Calls(device); i++)
        {
            before();
            Once(linear);
        }

        // A GPU works on when the calls have returned.
        if (device.type == TorchSharp.DeviceType.CUDA) cuda.synchronize(device);
    }

    private void Once(nn.Module<Tensor, Tensor> linear)
    {
        using var scope = NewDisposeScope();
        // Gradients start anew each time, or the second run would also add them up.
        input.grad = null;
        layer.Weight.Parameter.grad = null;
        var y = linear.call(between ? nn.functional.layer_norm(input, [Shape.K]) : input);
        (between ? y.sigmoid() : y).backward([gradient]);
        BackwardFailure.ThrowIfAny();
    }
}
