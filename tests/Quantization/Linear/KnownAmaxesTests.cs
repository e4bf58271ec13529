using Titan.Abstractions;
using Titan.Kernels.Casts;
using Titan.Quantization.Linear;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests.Linear;

public sealed class KnownAmaxesTests
{
    [Fact]
    public void What_was_found_counts_until_the_weight_is_written_to()
    {
        using var scope = NewDisposeScope();
        var weight = new Parameter(randn(16, 32));
        Assert.Null(KnownAmaxes.Of(weight));
        KnownAmaxes.Tell(weight, weight.abs().max().reshape(1));
        Assert.Equal(weight.abs().max().item<float>(), KnownAmaxes.Of(weight)!.item<float>());
        using (no_grad()) weight.mul_(2);
        Assert.Null(KnownAmaxes.Of(weight));
        KnownAmaxes.Tell(weight, weight.abs().max().reshape(1));
        Assert.Equal(weight.abs().max().item<float>(), KnownAmaxes.Of(weight)!.item<float>());
    }

    [Fact]
    public void A_cast_of_the_weight_takes_it_and_any_other_tensor_does_not()
    {
        using var scope = NewDisposeScope();
        var engine = new LinearEngine("float8/tensorwise", new LinearRecipe(new(E4M3.Tensorwise, E4M3.Tensorwise), new(E5M2.Tensorwise, E4M3.Tensorwise), new(E5M2.Tensorwise, E4M3.Tensorwise)),
            DeviceCapability.Cpu, fused: true, emulate: false, new());
        var layer = new QuantizedLinear(new Titan.Abstractions.Linear(32, 16), engine);
        using (no_grad()) layer.Weight.Parameter.normal_();
        var x = randn(16, 32);
        var plain = layer.forward(x);
        // Another amax is another scale: the result shows that it was taken. The cast that is kept goes with the step.
        engine.AfterOptimizerStep();
        KnownAmaxes.Tell(layer.Weight.Parameter, (layer.Weight.Parameter.abs().max() * 1.5).reshape(1));
        var known = layer.forward(x);
        Assert.False(known.allclose(plain, 0, 0));
        engine.AfterOptimizerStep();
        KnownAmaxes.Tell(layer.Weight.Parameter, layer.Weight.Parameter.abs().max().reshape(1));
        Assert.True(layer.forward(x).allclose(plain, 0, 0));
    }
}
