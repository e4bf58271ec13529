using Titan.Abstractions;
using TorchSharp;
using TorchSharp.Modules;
using Titan.Training.Optimization;
using static TorchSharp.torch;

namespace Titan.Training.Tests.Optimization;

public sealed class FusedAdamTests
{
    [Fact]
    public void Ten_steps_equal_those_of_TorchSharps_AdamW()
    {
        using var scope = NewDisposeScope();
        manual_seed(1);
        var one = new Parameter(randn(33, 17));
        var other = new Parameter(one.detach().clone());
        var fused = new FusedAdam([("w", one)], 0.9, 0.95, 1e-8, 0.1, decoupled: true);
        var reference = optim.AdamW([other], lr: 3e-3, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1);
        for (var i = 0; i < 10; i++)
        {
            var target = randn(33, 17);
            foreach (var p in new[] { one, other })
            {
                using (no_grad()) p.grad?.zero_();
                (p - target).square().sum().backward();
            }

            fused.Step(3e-3);
            reference.step();
            Assert.True(one.allclose(other, 1e-5, 1e-6), $"step {i}: largest difference {(one - other).abs().max().item<float>()}");
        }
    }

    [Fact]
    public void Clipping_scales_to_the_norm()
    {
        using var scope = NewDisposeScope();
        var p = new Parameter(zeros(4));
        (p * tensor(new float[] { 3, 0, 4, 0 })).sum().backward();
        ModelParameter[] all = [new("p", p, ShardLayout.Whole([4]), 1)];
        Assert.Equal(25, Gradients.SquaredNorm(all), 4);
        Gradients.Clip(all, 5, 1);
        Assert.Equal(1, p.grad!.norm().item<float>(), 4);
        Gradients.Clip(all, 1, 2);
        Assert.Equal(1, p.grad!.norm().item<float>(), 4);
    }

    [Fact]
    public void What_several_ranks_hold_counts_once_in_the_norm_over_all()
    {
        using var scope = NewDisposeScope();
        var p = new Parameter(zeros(2));
        (p * tensor(new float[] { 3, 4 })).sum().backward();
        Assert.Equal(25, 2 * Gradients.SquaredNorm([new ModelParameter("p", p, ShardLayout.Whole([2]), 2)]), 4);
    }
}
