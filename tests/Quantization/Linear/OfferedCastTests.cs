using Titan.Abstractions;
using Titan.Quantization.Linear;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests.Linear;

/// <summary>Bytes that came from elsewhere stand for a tensor only as long as it is what they were made of.</summary>
public class OfferedCastTests
{
    private static readonly LinearEngine Engine = Numbers.Engine(Numbers.Tensorwise);

    [Fact]
    public void Bytes_of_a_gradient_that_was_written_to_since_are_not_taken()
    {
        using var scope = NewDisposeScope();
        var g = randn(16, 16);
        Offer(g);
        using (var taken = Engine.Gradients.Take(g, E5M2.Tensorwise, 1)) Assert.NotNull(taken);
        Offer(g);
        // Under another handle of the same memory: the bytes would have another scale than the numbers.
        g.narrow(0, 0, 4).mul_(100);
        Assert.Null(Engine.Gradients.Take(g, E5M2.Tensorwise, 1));

        void Offer(Tensor t) => Engine.Gradients.Offer(t, [(E5M2.Tensorwise, 1, Engine.Cast(t, E5M2.Tensorwise, 1))]);
    }

    [Fact]
    public void Bytes_of_an_input_that_was_written_to_since_are_not_found()
    {
        using var scope = NewDisposeScope();
        var x = randn(16, 16);
        Engine.Inputs.Offer(x, [(E4M3.Tensorwise, 1, Engine.Cast(x, E4M3.Tensorwise, 1))]);
        using (var found = Engine.Inputs.Find(x, E4M3.Tensorwise, 1)) Assert.NotNull(found);
        x.narrow(0, 0, 4).mul_(100);
        Assert.Null(Engine.Inputs.Find(x, E4M3.Tensorwise, 1));
        Engine.ReleaseSharedCasts();
    }

    [Fact]
    public void Bytes_of_another_cast_of_the_same_tensor_are_not_taken_for_it()
    {
        using var scope = NewDisposeScope();
        var x = randn(32, 32);
        Engine.Inputs.Offer(x, [(E4M3.Rowwise, 1, Engine.Cast(x, E4M3.Rowwise, 1))]);
        Engine.Gradients.Offer(x, [(E4M3.Rowwise, 1, Engine.Cast(x, E4M3.Rowwise, 1))]);
        foreach (var (cast, contracted) in new[] { (E4M3.Rowwise, 0), (E4M3.Tensorwise, 1), (E5M2.Tensorwise, 1) })
        {
            Assert.Null(Engine.Inputs.Find(x, cast, contracted));
            Assert.Null(Engine.Gradients.Take(x, cast, contracted));
        }

        Engine.ReleaseSharedCasts();
    }
}
