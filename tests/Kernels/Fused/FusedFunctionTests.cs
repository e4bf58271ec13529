using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.Fused;
using Titan.Kernels.ModelOps;
using Titan.Kernels.Tests.Cuda;
using static TorchSharp.torch;

namespace Titan.Kernels.Tests.Fused;

/// <summary>The kernels as nodes of autograd's graph: what flows where, what is told of a gradient, what may be overwritten.</summary>
public sealed class FusedFunctionTests
{
    private static readonly ScalarType[] Types = [ScalarType.BFloat16, ScalarType.Float32];

    [Fact]
    public void A_sum_and_its_norm_have_the_gradients_of_an_addition_and_a_norm_to_the_bit()
    {
        foreach (var type in Types)
        {
            using var scope = NewDisposeScope();
            Tensor x = Sample(1, type, 6, 70), residual = Sample(2, type, 6, 70), w = Sample(3, type, 70), g = Sample(4, type, 6, 70), past = Sample(5, type, 6, 70);
            var plain = Run((a, b, v) =>
            {
                var sum = a + b;
                return (FusedRmsNorm.Normalize(sum, v, 1e-5), sum);
            });
            Tensor? told = null, amax = null;
            var fused = Run((a, b, v) =>
            {
                var (y, sum, magnitudes) = FusedRmsNorm.NormalizeSum(a, b, v, 1e-5, true, (gradient, largest) => (told, amax) = (gradient.clone().DetachFromDisposeScope(), largest.DetachFromDisposeScope()));
                IsAmax(magnitudes, y);
                return (y, sum);
            });
            foreach (var (expected, actual) in plain.Zip(fused)) Samples.AssertSameFloats(expected, actual, $"{type}");
            Samples.AssertSameFloats(fused[2], told!);
            IsAmax(amax, told!);
            told!.Dispose();
            amax!.Dispose();

            Tensor[] Run(Func<Tensor, Tensor, Tensor, (Tensor, Tensor)> f)
            {
                Tensor a = x.clone().requires_grad_(), b = residual.clone().requires_grad_(), v = w.clone().requires_grad_();
                var (y, sum) = f(a, b, v);
                ((y * g).sum() + (sum * past).sum()).backward();
                BackwardFailure.ThrowIfAny();
                return [y, sum, a.grad!, b.grad!, v.grad!];
            }
        }
    }

    [Fact]
    public void Of_a_sum_and_its_norm_either_may_be_unused()
    {
        using var scope = NewDisposeScope();
        Tensor a = randn(3, 8).requires_grad_(), b = randn(3, 8).requires_grad_(), w = randn(8).requires_grad_(), g = randn(3, 8);
        (FusedRmsNorm.NormalizeSum(a, b, w, 1e-5).Sum * g).sum().backward();
        BackwardFailure.ThrowIfAny();
        Samples.AssertSameFloats(g, a.grad!);
        Samples.AssertSameFloats(g, b.grad!);
        Assert.Null(w.grad);
        a.grad = b.grad = null;
        (FusedRmsNorm.NormalizeSum(a, b, w, 1e-5).Y * g).sum().backward();
        BackwardFailure.ThrowIfAny();
        Samples.AssertSameFloats(RmsNormKernel.Backward(g, a + b, w, RmsNormKernel.Forward(a + b, null, w, 1e-5).Rstd).X, a.grad!);
        Samples.AssertSameFloats(a.grad!, b.grad!);
    }

    [Fact]
    public void Where_ATen_computes_a_sum_and_its_norm_are_the_same_and_another_shape_is_refused()
    {
        using var scope = NewDisposeScope();
        Tensor x = randn(3, 8, dtype: ScalarType.Float64), residual = randn(3, 8, dtype: ScalarType.Float64), w = ones(8, dtype: ScalarType.Float64);
        var (y, sum, amax) = FusedRmsNorm.NormalizeSum(x, residual, w, 1e-5, true);
        Assert.Null(amax);
        Samples.AssertSameFloats(x + residual, sum);
        Samples.AssertSameFloats(FusedRmsNorm.Normalize(x + residual, w, 1e-5), y);
        Assert.Contains("one shape", Assert.Throws<ArgumentException>(() => FusedRmsNorm.NormalizeSum(x, residual[0], w, 1e-5)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Magnitudes_are_given_with_results_and_told_with_gradients()
    {
        using var scope = NewDisposeScope();
        var told = new List<(float Expected, float Actual)>();
        GradientAmax offer = (gradient, amax) => told.Add((gradient.abs().max().item<float>(), amax.max().item<float>()));
        Tensor a = randn(2, 4, 3, 8).requires_grad_(), b = randn(2, 4, 3, 8).requires_grad_(), w = randn(8).requires_grad_(), angles = rand(4, 4);
        var (normal, amaxOfNormal) = FusedRmsNorm.Normalize(a, w, 1e-5, true, offer);
        var (gate, amaxOfGate) = FusedSwiGlu.Multiply(normal, b, true, offer, offer);
        IsAmax(amaxOfNormal, normal);
        IsAmax(amaxOfGate, gate);
        var turned = FusedRotary.Rotate(gate, new RotaryTable(angles.cos(), angles.sin()), true, offer);
        Assert.True(turned.transpose(1, 2).is_contiguous());
        FusedCrossEntropy.Sum(turned.reshape(-1, 8), zeros(24, dtype: ScalarType.Int64), 0.5f, true, offer).backward();
        BackwardFailure.ThrowIfAny();
        // Cross-entropy, rotary, both gradients of SwiGLU, RMSNorm.
        Assert.Equal(5, told.Count);
        Assert.All(told, t => Assert.Equal(t.Expected, t.Actual));
    }

    [Fact]
    public void Logits_that_may_be_overwritten_become_their_gradient()
    {
        foreach (var type in Types)
            foreach (var upstream in new[] { 1f, 0.7f })
            {
                using var scope = NewDisposeScope();
                Tensor x = Sample(8, type, 5, 33).requires_grad_(), labels = randint(0, 33, [5], dtype: ScalarType.Int64);
                var plain = CrossEntropyKernel.Sum(x.detach(), labels, 1, LogitsGradient.Apart).Gradient!;
                var expected = plain.mul(tensor(0.2f)).mul(tensor(upstream));
                foreach (var overwrite in new[] { false, true })
                {
                    x.grad = null;
                    var logits = x * 1;
                    Tensor memory = logits.detach(), sum = FusedCrossEntropy.Sum(logits, labels, 0.2f, overwrite);
                    (sum * upstream).backward();
                    BackwardFailure.ThrowIfAny();
                    Samples.AssertSameFloats(expected, x.grad!, $"overwrite {overwrite}");
                    Samples.AssertSameFloats(overwrite ? expected : x.detach(), memory, "the logits' memory");
                }
            }
    }

    [Fact]
    public void Without_a_gradient_to_make_the_logits_stay_as_they_are()
    {
        using var scope = NewDisposeScope();
        Tensor logits = randn(4, 9).requires_grad_(), labels = zeros(4, dtype: ScalarType.Int64), before = logits.detach().clone();
        var version = AtenGateway.Version(logits);
        Tensor sum;
        using (no_grad()) sum = FusedCrossEntropy.Sum(logits, labels, 0.5f, true);
        Samples.AssertSameFloats(before, logits.detach());
        Assert.Equal(version, AtenGateway.Version(logits));
        Assert.Equal(FusedCrossEntropy.Sum(before, labels).item<float>(), sum.item<float>());
    }

    private static void IsAmax(Tensor? amax, Tensor of)
    {
        Assert.NotNull(amax);
        Assert.False(amax.requires_grad);
        Samples.AssertSameFloats(of.detach().to(ScalarType.Float32).abs().max().reshape(1), amax.max().reshape(1), "amax");
    }

    private static Tensor Sample(int seed, ScalarType type, params long[] shape)
    {
        manual_seed(seed);
        return randn(shape).to(type);
    }
}
