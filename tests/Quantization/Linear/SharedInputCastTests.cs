using Titan.Abstractions;
using Titan.Quantization.Linear;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests.Linear;

public class SharedInputCastTests
{
    [Fact]
    public void Layers_that_read_one_tensor_one_after_the_other_cast_it_once()
    {
        using var scope = NewDisposeScope();
        var (engine, counting) = Engine();
        var layers = Enumerable.Range(0, 3).Select(_ => new QuantizedLinear(Numbers.Layer(randn(16, 16)), engine)).ToArray();
        Tensor x = randn(16, 16), other = randn(16, 16);
        foreach (var layer in layers) layer.call(x);
        Assert.Equal(1, counting.Calls);
        layers[0].call(other);
        Assert.Equal(2, counting.Calls);
        layers[0].call(x);
        Assert.Equal(3, counting.Calls);
    }

    [Fact]
    public void A_tensor_that_was_written_to_is_cast_again()
    {
        using var scope = NewDisposeScope();
        var (engine, counting) = Engine();
        var layer = new QuantizedLinear(Numbers.Layer(randn(16, 16)), engine);
        var x = randn(16, 16);
        var before = layer.call(x);
        x.mul_(2);
        var after = layer.call(x);
        Assert.Equal(2, counting.Calls);
        Assert.True(Numbers.Sqnr(before * 2, after) > 80);
        // Through another handle of the same memory too.
        x.narrow(0, 0, 4).zero_();
        layer.call(x);
        Assert.Equal(3, counting.Calls);
    }

    [Fact]
    public void A_cast_that_fails_leaves_nothing_behind_to_be_found_again()
    {
        using var scope = NewDisposeScope();
        var (engine, counting) = Engine();
        var layer = new QuantizedLinear(Numbers.Layer(randn(16, 16)), engine);
        var x = randn(16, 16);
        layer.call(x);
        counting.Fails = true;
        Assert.ThrowsAny<Exception>(() => layer.call(randn(16, 16)));
        counting.Fails = false;
        layer.call(x);
        Assert.Equal(3, counting.Calls);
    }

    [Fact]
    public void A_shared_cast_gives_the_gradients_of_separate_ones()
    {
        using var scope = NewDisposeScope();
        foreach (var recipe in Numbers.All.Values)
        {
            manual_seed(31);
            Tensor w1 = randn(64, 32), w2 = randn(64, 32), x = randn(64, 32).to(ScalarType.BFloat16), g = randn(64, 64).to(ScalarType.BFloat16);
            var together = Run(Numbers.Engine(recipe), null);
            var apart = Run(Numbers.Engine(recipe), Numbers.Engine(recipe));
            foreach (var (a, b) in together.Zip(apart)) Assert.Equal(0, a.ne(b).sum().item<long>());

            Tensor[] Run(LinearEngine one, LinearEngine? other)
            {
                var leaf = x.detach().clone().requires_grad_();
                QuantizedLinear first = new(Numbers.Layer(w1), one), second = new(Numbers.Layer(w2), other ?? one);
                // One after the other, as wk and wv are; both must see the same tensor object.
                var y = first.call(leaf) + second.call(leaf);
                y.backward([g]);
                BackwardFailure.ThrowIfAny();
                return [y.detach(), leaf.grad!, first.Weight.Parameter.grad!, second.Weight.Parameter.grad!];
            }
        }
    }

    [Fact]
    public void Nothing_is_kept_once_it_is_told_to_forget()
    {
        using var scope = NewDisposeScope();
        var (engine, _) = Engine();
        var layer = new QuantizedLinear(Numbers.Layer(randn(16, 16)), engine);
        var x = randn(16, 16);
        var before = Tensor.TotalCount;
        using (no_grad()) layer.call(x).Dispose();
        engine.ReleaseSharedCasts();
        Assert.Equal(before, Tensor.TotalCount);
    }

    private static (LinearEngine Engine, Counting Quantizer) Engine()
    {
        var counting = new Counting();
        OperandCast cast = new OperandCast.Custom(counting), weight = new OperandCast.Custom(new Counting());
        return (Numbers.Engine(new LinearRecipe(new(cast, weight), MatmulRecipe.HighPrecision, MatmulRecipe.HighPrecision)), counting);
    }

    private sealed class Counting : IQuantizer
    {
        public int Calls { get; private set; }

        public bool Fails { get; set; }

        public string Name => "counting";

        public Tensor QuantizeDequantize(Tensor operand)
        {
            Calls++;
            if (Fails) throw new NotSupportedException("told to fail");
            return operand.clone();
        }
    }
}
