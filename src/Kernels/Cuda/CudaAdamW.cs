using Titan.Abstractions;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Titan.Kernels.Cuda;

/// <summary>The numbers of one step of Adam or AdamW (Loshchilov and Hutter, 2019).</summary>
/// <param name="Step">The step, counted from 1.</param>
/// <param name="Rate">Learning rate.</param>
/// <param name="Beta1">Of the mean of gradients.</param>
/// <param name="Beta2">Of the mean of their squares.</param>
/// <param name="Epsilon">Added below the fraction.</param>
/// <param name="WeightDecay">Weight decay.</param>
/// <param name="Decoupled">Whether the decay is taken off the weight (AdamW), not added to the gradient (Adam).</param>
public readonly record struct AdamStep(long Step, double Rate, double Beta1, double Beta2, double Epsilon, double WeightDecay, bool Decoupled);

/// <summary>A step of the optimizer on one weight on CUDA, as ATen's fused kernel computes it, that finds the amax of the new weight on its way.</summary>
public sealed class CudaAdamW
{
    private static readonly Lazy<CudaAdamW> Instance = new(() => new(CudaKernels.Launcher));

    private readonly IKernelLauncher launcher;

    internal CudaAdamW(IKernelLauncher launcher) => this.launcher = launcher;

    /// <summary>The process's own.</summary>
    /// <exception cref="TitanException">There is no NVIDIA driver or no libnvrtc.</exception>
    public static CudaAdamW Shared => Instance.Value;

    /// <summary>Whether it takes the weight: contiguous fp32 on the device.</summary>
    public bool Covers(Parameter weight) => weight.device_type == launcher.Device && weight.dtype == ScalarType.Float32 && weight.dim() > 0 && weight.is_contiguous() && weight.numel() > 0;

    /// <summary>Updates the weight and its moments in place.</summary>
    /// <param name="weight">One that <see cref="Covers"/> takes.</param>
    /// <param name="gradient">fp32, of its shape.</param>
    /// <param name="average">fp32, of its shape, contiguous: the mean of gradients.</param>
    /// <param name="square">Likewise: the mean of their squares.</param>
    /// <param name="step">The step's numbers.</param>
    /// <returns>fp32 [P], whose maximum is the amax of the new weight.</returns>
    public Tensor Step(Parameter weight, Tensor gradient, Tensor average, Tensor square, AdamStep step)
    {
        foreach (var like in new[] { gradient, average, square })
        {
            if (like.dtype != ScalarType.Float32 || like.device_type != weight.device_type || like.numel() != weight.numel())
                throw new ArgumentException($"adamw: {like.dtype} [{string.Join(", ", like.shape)}] on {like.device} does not fit a weight of fp32 [{string.Join(", ", weight.shape)}] on {weight.device}");
        }

        using var none = no_grad();
        using var scope = NewDisposeScope();
        var grid = LaunchGrid.Line(weight.numel(), LaunchGrid.Threads * 4, launcher.BlocksToFill(weight.device));
        var amax = empty(grid.X, dtype: ScalarType.Float32, device: weight.device);
        var decay = step.WeightDecay * (step.Decoupled ? step.Rate : 1);
        var rate = (float)(step.Rate / (float)(1 - Math.Pow(step.Beta1, step.Step)));
        var root = (float)Math.Sqrt(1 - Math.Pow(step.Beta2, step.Step));
        launcher.Launch("adamw", "adamw_f32", weight.device, grid,
            weight, gradient.contiguous(), average, square, weight.numel(), step.Decoupled ? decay : 0, step.Decoupled ? 0 : decay, step.Beta1, step.Beta2, step.Epsilon, rate, root, amax);
        // Whoever kept something that follows from the weight goes by ATen's count of writes; this one writes nothing and is counted.
        weight.narrow(0, 0, 0).zero_();
        return amax.MoveToOuterDisposeScope();
    }
}
