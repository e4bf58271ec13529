using Titan.Abstractions;
using Titan.Kernels.Activations;
using Titan.Quantization.Linear;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests.Linear;

/// <summary>What was noted of a gradient stands for it only as long as the gradient is what it was.</summary>
public class KnownGradientTests
{
    private static readonly LinearEngine Engine = Numbers.Engine(Numbers.Tensorwise);

    [Fact]
    public void Facts_are_found_under_another_handle_of_the_same_gradient_and_once()
    {
        using var scope = NewDisposeScope();
        Tensor g = randn(16, 16), parts = g.abs().amax([1]);
        var note = new GradientNote(wantsAmax: true);
        KnownGradient.Put(note, g, parts, []);
        using (var known = KnownGradient.Of(note, g.view(4, 64)))
            Assert.Equal(g.abs().max().item<float>(), known!.AmaxParts!.max().item<float>());
        Assert.Null(KnownGradient.Of(note, g));
        Assert.Null(KnownGradient.Of(null, g));
    }

    [Fact]
    public void Facts_of_a_gradient_that_was_written_to_since_are_not_taken()
    {
        using var scope = NewDisposeScope();
        var g = randn(16, 16);
        var note = new GradientNote(wantsAmax: true);
        KnownGradient.Put(note, g, g.abs().max(), []);
        // Under another handle of the same memory: the bytes would have another scale than the numbers.
        g.narrow(0, 0, 4).mul_(100);
        Assert.Null(KnownGradient.Of(note, g));
    }

    [Fact]
    public void Facts_of_another_gradient_are_not_taken_for_it()
    {
        using var scope = NewDisposeScope();
        Tensor g = randn(16, 16), wide = randn(16, 32);
        var note = new GradientNote(wantsAmax: true);
        foreach (var other in new[] { g.clone(), g.narrow(0, 0, 8), wide.narrow(1, 0, 16), g.t() })
        {
            KnownGradient.Put(note, g, g.abs().max(), []);
            Assert.Null(KnownGradient.Of(note, other));
        }
    }

    [Fact]
    public void A_wrong_amax_that_a_reader_told_shows_in_the_layers_gradients()
    {
        using var scope = NewDisposeScope();
        manual_seed(4);
        Tensor w = randn(32, 16), x = randn(16, 16), g = randn(16, 32);
        var right = Gradient(null);
        Assert.Equal(0, Gradient(1).ne(right).sum().item<long>());
        // The scale is made of the amax that was told, and of no other.
        Assert.NotEqual(0, Gradient(3).ne(right).sum().item<long>());

        Tensor Gradient(double? times)
        {
            var leaf = x.detach().clone().requires_grad_();
            using var input = new Activation(leaf);
            var y = new QuantizedLinear(Numbers.Layer(w), Engine).Forward(input);
            Assert.True(y.Gradient!.WantsAmax);
            if (times is { } factor) KnownGradient.Put(y.Gradient, g, g.abs().amax([0]) * factor, []);
            y.Values.backward([g]);
            BackwardFailure.ThrowIfAny();
            return leaf.grad!;
        }
    }
}
