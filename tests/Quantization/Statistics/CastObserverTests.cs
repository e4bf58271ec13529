using Titan.Abstractions;
using Titan.Quantization.Linear;
using Titan.Quantization.Statistics;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests.Statistics;

public class CastObserverTests
{
    [Theory]
    [InlineData("tensorwise", "input,weight,grad_output")]
    [InlineData("rowwise", "input,weight,weight_for_grad_input,input_for_grad_weight,grad_output,grad_output_for_grad_weight")]
    [InlineData("rowwise_with_gw_hp", "input,weight,grad_output,weight_for_grad_input")]
    [InlineData("mxfp8_rceil_wgrad_with_hp", "input,weight,grad_output,weight_for_grad_input")]
    public void The_casts_that_differ_are_shown_under_the_layers_name(string recipe, string operands)
    {
        using var scope = NewDisposeScope();
        var engine = Numbers.Engine(Numbers.All[recipe]);
        var layer = new QuantizedLinear(Numbers.Layer(randn(32, 32)), engine, "layers.0.wq");
        engine.Observer = new CastObserver();
        Numbers.Run(layer, randn(32, 32), randn(32, 32));
        Assert.Equal(operands.Split(',').Select(o => ("layers.0.wq", o)), engine.Observer.Results.Select(r => (r.Layer, r.Operand)));
        Assert.All(engine.Observer.Results, r => Assert.InRange(r.Statistics.Sqnr, 22, 45));
        Assert.True(engine.Observer.Elapsed > TimeSpan.Zero);
    }

    [Fact]
    public void Nothing_is_shown_to_an_observer_that_was_taken_away_and_the_numbers_are_the_same_with_one()
    {
        using var scope = NewDisposeScope();
        var engine = Numbers.Engine(Numbers.Rowwise);
        var layer = new QuantizedLinear(Numbers.Layer(randn(32, 32)), engine);
        Tensor x = randn(32, 32), g = randn(32, 32);
        var observer = new CastObserver();
        engine.Observer = observer;
        var seen = Numbers.Run(layer, x, g);
        var first = observer.Results;
        engine.Observer = null;
        var unseen = Numbers.Run(layer, x.clone(), g);
        Assert.Equal(first, observer.Results);
        Assert.Equal(0, seen.Y.ne(unseen.Y).sum().item<long>() + seen.GradX.ne(unseen.GradX).sum().item<long>() + seen.GradW.ne(unseen.GradW).sum().item<long>());
        Assert.Null(Numbers.Engine(Numbers.Rowwise).Observer);
    }

    [Fact]
    public void Layers_that_share_the_cast_of_an_input_all_have_its_numbers()
    {
        using var scope = NewDisposeScope();
        manual_seed(44);
        var engine = Numbers.Engine(Numbers.Rowwise);
        engine.Observer = new CastObserver();
        var layers = new[] { "wq", "wk", "wv" }.Select(n => new QuantizedLinear(Numbers.Layer(randn(16, 16)), engine, n)).ToArray();
        using var x = new Activation(randn(2, 8, 16));
        var other = randn(16, 16) * 3;
        foreach (var layer in layers) layer.Forward(x);
        new QuantizedLinear(Numbers.Layer(randn(16, 16)), engine, "wo").call(other);
        var inputs = engine.Observer.Results.Where(r => r.Operand == CastName.Input).ToDictionary(r => r.Layer, r => r.Statistics);
        Assert.Equal(["wq", "wk", "wv", "wo"], inputs.Keys);
        Assert.Same(inputs["wq"], inputs["wk"]);
        Assert.Same(inputs["wq"], inputs["wv"]);
        Assert.Equal(other.abs().max().item<float>(), inputs["wo"].Amax);
    }

    [Fact]
    public void A_layer_that_is_computed_again_is_counted_once()
    {
        using var scope = NewDisposeScope();
        var engine = Numbers.Engine(Numbers.Tensorwise);
        engine.Observer = new CastObserver();
        QuantizedLinear one = new(Numbers.Layer(randn(16, 16)), engine, "one"), two = new(Numbers.Layer(randn(16, 16)), engine, "two");
        Tensor x = randn(16, 16), later = x * 2;
        one.call(x);
        one.call(later);
        // Shares the second, unmeasured cast of the input: it has that one's numbers, not the first's.
        two.call(later);
        var amax = engine.Observer.Results.Where(r => r.Operand == CastName.Input).Select(r => r.Statistics.Amax);
        Assert.Equal([x.abs().max().item<float>(), later.abs().max().item<float>()], amax);
        Assert.Equal(4, engine.Observer.Results.Count);
    }

    [Fact]
    public void A_cast_by_a_plugins_code_is_measured_without_scales()
    {
        using var scope = NewDisposeScope();
        OperandCast cast = new OperandCast.Custom(new Halving());
        var engine = Numbers.Engine(new LinearRecipe(new(cast, cast), MatmulRecipe.HighPrecision, MatmulRecipe.HighPrecision));
        engine.Observer = new CastObserver();
        Numbers.Run(new QuantizedLinear(Numbers.Layer(ones(16, 16)), engine), ones(16, 16), ones(16, 16));
        Assert.Equal(["input", "weight"], engine.Observer.Results.Select(r => r.Operand));
        Assert.Equal(["amax", "underflowed", "sqnr"], engine.Observer.Results[0].Statistics.Named().Select(n => n.Name));
        Assert.Equal(20 * Math.Log10(2), engine.Observer.Results[0].Statistics.Sqnr, 3);
    }

    private sealed class Halving : IQuantizer
    {
        public string Name => "halving";

        public Tensor QuantizeDequantize(Tensor operand) => operand / 2;
    }
}
