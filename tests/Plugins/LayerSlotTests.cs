using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.Tests;

/// <summary>What does not fit is kept out of a model's slots.</summary>
public sealed class LayerSlotTests
{
    [Fact]
    public void A_linear_layer_of_another_shape_or_none_does_not_get_into_a_slot()
    {
        using var model = new TinyModel();
        var (_, slot, linear) = new ModelSlots(model).Linears.First();
        Assert.Equal(
            "converter 'acme.x' puts a linear layer of 16 x 31 into layer 'up', which is of 16 x 32",
            Assert.Throws<TitanException>(() => slot.Replace(new Abstractions.Linear(16, 31), "acme.x")).Message);
        Assert.Equal("converter 'acme.x' puts null into layer 'up'", Assert.Throws<TitanException>(() => slot.Replace(null!, "acme.x")).Message);
        Assert.Same(linear, slot.Module);
        slot.Replace(new Abstractions.Linear(16, 32), "acme.x");
        Assert.NotSame(linear, slot.Module);
    }

    [Fact]
    public void A_layers_result_is_checked_with_the_shape_of_what_it_replaced()
    {
        using var scope = NewDisposeScope();
        using var model = new TinyModel();
        var (_, slot, _) = new ModelSlots(model).Linears.First();
        slot.Replace(new Shortens(), "acme.shortens");
        var failure = Assert.Throws<TitanException>(() => model.call(zeros(3, 16)));
        Assert.Equal("layer up, put there by converter 'acme.shortens': forward returned [3, 15]; expected [3, 32] for an input of [3, 16]", failure.Message);
        Assert.Equal((typeof(Shortens), "up"), (failure.Data[ModuleSlot.FailedType], failure.Data[ModuleSlot.FailedLayer]));
    }

    private sealed class Shortens() : nn.Module<Tensor, Tensor>(nameof(Shortens))
    {
        public override Tensor forward(Tensor x) => x.narrow(1, 0, x.shape[1] - 1);
    }
}
