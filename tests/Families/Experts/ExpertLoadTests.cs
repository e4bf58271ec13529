using Titan.Distributed;
using Titan.Models;
using static TorchSharp.torch;

namespace Titan.Families.Tests.Experts;

/// <summary>The bias that balances the load.</summary>
public sealed class ExpertLoadTests
{
    [Theory]
    [InlineData("mixed"), InlineData("big")]
    public void The_bias_moves_as_upstreams(string name)
    {
        using var scope = NewDisposeScope();
        var golden = Golden.Of("expert_bias");
        var layers = Enumerable.Range(0, 2).Select(i => Made(golden[$"{name}.{i}.counts"], golden[$"{name}.{i}.bias_before"])).ToList();
        foreach (var sum in ExpertLoad.Step(layers, new SingleRankGroup("loss"))) sum.Dispose();
        foreach (var (i, layer) in layers.Index())
        {
            Assert.Equal(golden[$"{name}.{i}.bias_after"].data<float>().ToArray(), layer.Bias!.data<float>().ToArray());
            Assert.Equal(golden[$"{name}.{i}.counts_after"].data<float>().ToArray(), layer.Counts.data<float>().ToArray());
        }
    }

    [Fact]
    public void An_even_load_moves_nothing_and_micro_batches_add_up()
    {
        using var scope = NewDisposeScope();
        var layer = Made(tensor(new float[] { 0, 0, 0, 0 }), tensor(new float[] { 1, 2, 3, 4 }));
        layer.Add(tensor(new long[] { 0, 1, 2, 0 }).view(2, 2));
        layer.Add(tensor(new long[] { 3, 3, 1, 2 }).view(2, 2));
        Assert.Equal([2f, 2, 2, 2], layer.Counts.data<float>().ToArray());
        Assert.Equal([2f, 2, 2, 2], ExpertLoad.Step([layer], new SingleRankGroup("loss"))[0].data<float>().ToArray());
        Assert.Equal([1f, 2, 3, 4], layer.Bias!.data<float>().ToArray());
    }

    private static ExpertLoad Made(Tensor counts, Tensor bias)
    {
        var layer = new ExpertLoad((int)counts.shape[0], 1e-3);
        foreach (var buffer in layer.Buffers) buffer.Materialize(CPU);
        layer.Counts.copy_(counts);
        layer.Bias!.copy_(bias);
        return layer;
    }
}
