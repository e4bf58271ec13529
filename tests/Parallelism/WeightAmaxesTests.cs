using Titan.Abstractions;
using Titan.Plugins.Float8Tensorwise;
using Titan.Plugins.Parallelism;
using Titan.Quantization.Linear;
using Titan.Quantization.Matmuls;
using Parameter = TorchSharp.Modules.Parameter;
using static TorchSharp.torch;

namespace Titan.Parallelism.Tests;

/// <summary>Two layers of which each of two ranks has half of the rows, filled with 1 on rank 0 and 2 on rank 1.</summary>
public sealed class WeightAmaxesTests
{
    private const int N = 32, K = 16;

    [Fact]
    public void One_collective_serves_all_weights_and_all_their_casts() => OnTwoRanks((engine, layers, group) =>
    {
        engine.AfterOptimizerStep();
        Assert.Equal([("all_reduce", ScalarType.Float32, 8L)], group.Calls);
        foreach (var layer in layers)
            foreach (var use in new[] { WeightUse.Output, WeightUse.GradInput })
                Assert.Equal(2, Amax(engine, layer, use));
        Assert.Single(group.Calls);
    });

    [Fact]
    public void A_weight_that_was_written_to_since_is_looked_at_again() => OnTwoRanks((engine, layers, group) =>
    {
        engine.AfterOptimizerStep();
        using (no_grad()) layers[1].Weight.Parameter.mul_(3);
        Assert.Equal(2, Amax(engine, layers[0], WeightUse.Output));
        Assert.Equal(6, Amax(engine, layers[1], WeightUse.Output));
        Assert.Equal(2, group.Calls.Count);
        engine.AfterOptimizerStep();
        Assert.Equal(6, Amax(engine, layers[1], WeightUse.GradInput));
        Assert.Equal(3, group.Calls.Count);
    });

    [Fact]
    public void Before_the_first_step_each_cast_asks_by_itself() => OnTwoRanks((engine, layers, group) =>
    {
        Assert.Equal(2, Amax(engine, layers[0], WeightUse.Output));
        Assert.Equal([("all_reduce", ScalarType.Float32, 4L)], group.Calls);
    });

    [Fact]
    public void A_weight_of_which_only_some_rows_are_here_is_left_to_who_gathers_it() => OnTwoRanks((engine, layers, group) =>
    {
        // As if its part were N rows, of which this rank holds half.
        foreach (var layer in layers) layer.Narrow(new LinearShape(K, N));
        engine.AfterOptimizerStep();
        Assert.Empty(group.Calls);
    });

    /// <summary>448, the largest of e4m3, over the scale.</summary>
    private static double Amax(LinearEngine engine, QuantizedLinear layer, WeightUse use)
    {
        using var cast = engine.CastWeight("w", null, layer.Weight.Parameter, use, layer.Weight, bothWays: false);
        return Math.Round(448 / cast.Quantized!.Scale.item<float>(), 4);
    }

    private static void OnTwoRanks(Action<LinearEngine, QuantizedLinear[], CountingGroup> test) => ThreadRanks.Run(new ParallelDimensions(TensorParallel: 2), mesh =>
    {
        using var scope = NewDisposeScope();
        var group = new CountingGroup(mesh.Group(MeshAxis.TensorParallel));
        var engine = new LinearEngine("tensorwise", new TensorwiseRecipe().Describe(new NoOptions()), DeviceCapability.Cpu, true, false, new MatmulCounter());
        QuantizedLinear[] layers = [.. Enumerable.Range(0, 2).Select(_ => Split(engine, group))];
        foreach (var layer in layers) engine.WeightAmaxes.Add(layer);
        test(engine, layers, group);
        return 0;
    });

    private static QuantizedLinear Split(LinearEngine engine, IProcessGroup group)
    {
        var whole = new Linear(K, N, device: META);
        var layer = new QuantizedLinear(whole, engine);
        layer.Narrow(new LinearShape(K, N / 2));
        layer.Weight = new SplitWeight(new Parameter(full([N / 2, K], group.Rank + 1.0, dtype: ScalarType.Float32)), whole.Weight.Layout.Narrow(0, group.Rank * N / 2, N / 2), 1, group);
        return layer;
    }
}
