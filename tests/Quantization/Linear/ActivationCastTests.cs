using Titan.Abstractions;
using Titan.Quantization.Linear;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests.Linear;

public class ActivationCastTests
{
    [Fact]
    public void Layers_that_read_one_activation_cast_it_once()
    {
        using var scope = NewDisposeScope();
        var (engine, counting) = Engine();
        var layers = Enumerable.Range(0, 3).Select(_ => new QuantizedLinear(Numbers.Layer(randn(16, 16)), engine)).ToArray();
        using Activation x = new(randn(16, 16)), other = new(x.Values);
        foreach (var layer in layers) layer.Forward(x);
        Assert.Equal(1, counting.Calls);
        layers[0].Forward(other);
        Assert.Equal(2, counting.Calls);
        layers[1].Forward(x);
        Assert.Equal(2, counting.Calls);
    }

    [Fact]
    public void A_layer_that_is_given_values_alone_casts_them_itself()
    {
        using var scope = NewDisposeScope();
        var (engine, counting) = Engine();
        var layer = new QuantizedLinear(Numbers.Layer(randn(16, 16)), engine);
        var x = randn(16, 16);
        var before = layer.call(x);
        x.mul_(2);
        Assert.True(Numbers.Sqnr(before * 2, layer.call(x)) > 80);
        Assert.Equal(2, counting.Calls);
    }

    [Fact]
    public void Layers_of_two_recipes_do_not_take_each_others_casts()
    {
        using var scope = NewDisposeScope();
        var ((one, first), (two, second)) = (Engine(), Engine());
        using var x = new Activation(randn(16, 16));
        new QuantizedLinear(Numbers.Layer(randn(16, 16)), one).Forward(x);
        new QuantizedLinear(Numbers.Layer(randn(16, 16)), two).Forward(x);
        Assert.Equal((1, 1), (first.Calls, second.Calls));
    }

    [Fact]
    public void A_weight_is_cast_once_for_all_micro_batches_of_a_step_and_anew_when_it_has_changed()
    {
        using var scope = NewDisposeScope();
        manual_seed(6);
        foreach (var (recipe, uses) in new[] { (Numbers.Tensorwise, 1), (Numbers.Rowwise, 2) })
        {
            var kernels = new CountingCasts();
            var engine = new LinearEngine("test", recipe, kernels, k => new Titan.Quantization.Matmuls.DecodedMatmul(k), new Titan.Quantization.Matmuls.MatmulCounter());
            var weight = randn(64, 48);
            var layer = new QuantizedLinear(Numbers.Layer(weight), engine);
            for (var batch = 0; batch < 3; batch++) Run();
            Assert.Equal(uses, kernels.Casts(64, 48));
            engine.AfterOptimizerStep();
            Run();
            Assert.Equal(2 * uses, kernels.Casts(64, 48));
            // Written to without a word.
            using (no_grad()) layer.Weight.Parameter.mul_(2);
            var y = Run();
            Assert.Equal(3 * uses, kernels.Casts(64, 48));
            Assert.Equal(0, y.ne(new QuantizedLinear(Numbers.Layer(weight * 2), Numbers.Engine(recipe)).call(Input)).sum().item<long>());

            Tensor Run()
            {
                var y = layer.call(Input.detach().requires_grad_());
                y.backward([ones_like(y)]);
                BackwardFailure.ThrowIfAny();
                return y.detach();
            }
        }
    }

    [Fact]
    public void Two_casts_of_a_weight_are_made_together_where_that_saves_a_pass_and_both_are_needed()
    {
        using var scope = NewDisposeScope();
        manual_seed(6);
        var weight = randn(64, 48);
        var (apart, together) = (new CountingCasts(), new CountingCasts { Joins = true });
        var (first, second) = (Layer(apart), Layer(together));
        for (var batch = 0; batch < 2; batch++)
            foreach (var (one, other) in Run(first).Zip(Run(second))) Assert.Equal(0, one.ne(other).sum().item<long>());
        // Once for both micro-batches.
        Assert.Equal((0, 2), (apart.Joined(64, 48), apart.Casts(64, 48)));
        Assert.Equal((1, 2), (together.Joined(64, 48), together.Casts(64, 48)));
        // Where no gradient of the input follows, the cast for it would serve nobody.
        var alone = new CountingCasts { Joins = true };
        var layer = Layer(alone);
        using (no_grad()) layer.call(Input).Dispose();
        layer.call(Input).sum().backward();
        Assert.Equal((0, 1), (alone.Joined(64, 48), alone.Casts(64, 48)));

        QuantizedLinear Layer(CountingCasts kernels) => new(
            Numbers.Layer(weight),
            new LinearEngine("test", Numbers.Rowwise, kernels, k => new Titan.Quantization.Matmuls.DecodedMatmul(k), new Titan.Quantization.Matmuls.MatmulCounter()));

        static Tensor[] Run(QuantizedLinear layer)
        {
            var x = Input.detach().requires_grad_();
            var y = layer.call(x);
            y.backward([ones_like(y)]);
            BackwardFailure.ThrowIfAny();
            return [y.detach(), x.grad!, layer.Weight.Parameter.grad!];
        }
    }

    private static Tensor Input { get; } = arange(32 * 48, dtype: ScalarType.Float32).cos().reshape(32, 48).DetachFromDisposeScope();

    [Fact]
    public void A_cast_that_fails_leaves_nothing_behind_to_be_found_again()
    {
        using var scope = NewDisposeScope();
        var (engine, counting) = Engine();
        var layer = new QuantizedLinear(Numbers.Layer(randn(16, 16)), engine);
        using var x = new Activation(randn(16, 16));
        counting.Fails = true;
        Assert.ThrowsAny<Exception>(() => layer.Forward(x));
        counting.Fails = false;
        layer.Forward(x);
        Assert.Equal(2, counting.Calls);
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
                using var input = new Activation(leaf);
                var y = first.Forward(input).Values + second.Forward(input).Values;
                y.backward([g]);
                BackwardFailure.ThrowIfAny();
                return [y.detach(), leaf.grad!, first.Weight.Parameter.grad!, second.Weight.Parameter.grad!];
            }
        }
    }

    [Fact]
    public void Nothing_is_kept_once_the_activation_is_gone()
    {
        using var scope = NewDisposeScope();
        var (engine, _) = Engine();
        var layer = new QuantizedLinear(Numbers.Layer(randn(16, 16)), engine);
        var x = randn(16, 16);
        var before = Tensor.TotalCount;
        using (no_grad()) layer.call(x).Dispose();
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
