using Titan.Kernels.Aten;
using Titan.Kernels.Cuda;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Titan.Kernels.Tests.Cuda;

/// <summary>A step of the optimizer against ATen's fused one on the CPU, whose numbers are fp32 where the kernel's are fp64: 1e-6 of the largest magnitude.</summary>
[Collection(NativeCollection.Name)]
public sealed class AdamWTests(NativeBuild build)
{
    public static TheoryData<string> Launchers => NativeCollection.Launchers;

    [TheoryWithTools("g++")]
    [MemberData(nameof(Launchers))]
    public void Steps_are_ATens_and_leave_the_amax_of_the_new_weight(string launcher)
    {
        var kernel = new CudaAdamW(build.Launcher(launcher));
        foreach (var decoupled in new[] { true, false })
            foreach (var shape in new long[][] { [1], [3, 5], [33, 68], [4099] })
            {
                using var scope = NewDisposeScope();
                manual_seed(shape[^1]);
                Parameter own = new(randn(shape)), atens = new(own.detach().clone());
                Tensor average = zeros(shape), square = zeros(shape), atensAverage = zeros(shape), atensSquare = zeros(shape);
                for (var step = 1; step <= 4; step++)
                {
                    var gradient = randn(shape) * Math.Pow(10, -step);
                    var version = AtenGateway.Version(own);
                    var amax = kernel.Step(own, gradient, average, square, new AdamStep(step, 1e-2, 0.9, 0.95, 1e-8, 0.1, decoupled));
                    AtenGateway.FusedAdamW([atens], [gradient], [atensAverage], [atensSquare], [tensor((float)step)], 1e-2, 0.9, 0.95, 0.1, 1e-8, decoupled);
                    Assert.True(AtenGateway.Version(own) > version);
                    Close(atens, own);
                    Close(atensAverage, average);
                    Close(atensSquare, square);
                    Assert.Equal(own.abs().max().item<float>(), amax.max().item<float>());
                }
            }
    }

    [FactWithTools("g++")]
    public void A_weight_that_is_not_a_number_leaves_an_amax_that_is_none()
    {
        using var scope = NewDisposeScope();
        var own = new Parameter(randn(70));
        var gradient = randn(70);
        gradient[66] = float.NaN;
        Assert.True(float.IsNaN(new CudaAdamW(build.Launcher("sanitized")).Step(own, gradient, zeros(70), zeros(70), new AdamStep(1, 1e-2, 0.9, 0.95, 1e-8, 0.1, true)).max().item<float>()));
    }

    [FactWithTools("g++")]
    public void Moments_that_do_not_fit_are_refused()
    {
        using var scope = NewDisposeScope();
        var kernel = new CudaAdamW(build.Launcher("sanitized"));
        var failure = Assert.Throws<ArgumentException>(() => kernel.Step(new Parameter(randn(8)), randn(8), zeros(8), zeros(7), new AdamStep(1, 1e-2, 0.9, 0.95, 1e-8, 0.1, true)));
        Assert.Contains("[7]", failure.Message);
    }

    private static void Close(Tensor expected, Tensor actual) =>
        Assert.True((expected - actual).abs().max().item<float>() <= 1e-6 * Math.Max(expected.abs().max().item<float>(), 1e-6), $"off by {(expected - actual).abs().max().item<float>()}");
}
