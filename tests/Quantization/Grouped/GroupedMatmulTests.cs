using CsCheck;
using Titan.Abstractions;
using Titan.Kernels.Casts;
using Titan.Quantization.Grouped;
using Titan.Quantization.Linear;
using Titan.Quantization.Matmuls;
using Titan.Quantization.Tests.Linear;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests.Grouped;

/// <summary>Experts that execute a recipe, against the same recipe on each group by itself.</summary>
public class GroupedMatmulTests
{
    private static readonly (string Name, LinearRecipe Recipe)[] Recipes =
        [("rowwise", Numbers.GroupedRowwise), ("mxfp8", Numbers.GroupedMx), ("mxfp8_wgrad_with_hp", Numbers.GroupedMxWithHighPrecisionGradWeight), ("linear rowwise", Numbers.Rowwise)];

    [Fact]
    public void Experts_are_linear_layers_of_their_own_rows_whatever_the_sizes_of_the_groups() =>
        Gen.Select(Gen.Int[0, Recipes.Length - 1], Gen.Int[0, 3].Array[1, 5], Gen.Int[1, 3], Gen.Int[1, 3], Gen.Int[0, 1], Gen.Int[0, 10000]).Sample((which, sizes, n, k, rest, seed) =>
        {
            using var scope = NewDisposeScope();
            var recipe = Recipes[which].Recipe;
            manual_seed(seed);
            long[] ends = [.. sizes.Select((_, e) => 32L * sizes.Take(e + 1).Sum())];
            long m = ends[^1] + 32 * rest;
            if (m == 0) return;
            Tensor x = randn(m, 32 * k).to(ScalarType.BFloat16), g = randn(m, 32 * n).to(ScalarType.BFloat16), w = randn(sizes.Length, 32 * n, 32 * k).to(ScalarType.BFloat16);
            Tensor y = zeros(m, 32 * n, dtype: x.dtype), gradX = zeros_like(x), gradW = zeros_like(w);
            for (var e = 0; e < sizes.Length; e++)
            {
                long begin = e == 0 ? 0 : ends[e - 1], length = ends[e] - begin;
                if (length == 0) continue;
                var linear = new QuantizedLinear(Numbers.Layer(w[e]), Numbers.Engine(recipe, emulate: true));
                var own = Numbers.Run(linear, x.narrow(0, begin, length), g.narrow(0, begin, length));
                y.narrow(0, begin, length).copy_(own.Y);
                gradX.narrow(0, begin, length).copy_(own.GradX);
                gradW[e].copy_(own.GradW);
            }

            foreach (var way in Experts.Ways)
            {
                var grouped = Experts.Run(recipe, way, x, w, g, RowGroups.Of(ends, CPU));
                // Sums in another order and rounded once: half a unit of bf16 in a few elements. Emulation is the same product.
                var bound = way == "emulated" ? 100 : 55;
                foreach (var (expected, actual) in new[] { (y, grouped.Y), (gradX, grouped.GradX), (gradW, grouped.GradW) })
                    Assert.True(Numbers.Sqnr(expected, actual) > bound || expected.eq(actual).all().item<bool>(), $"{Recipes[which].Name}, {way}: {Numbers.Sqnr(expected, actual)} dB");
                if (rest > 0) Assert.Equal(0, grouped.Y.narrow(0, ends[^1], 32 * rest).abs().max().to(ScalarType.Float32).item<float>());
            }
        }, iter: 25, threads: 1);

    [Theory]
    [InlineData(new[] { 0L, 0, 64 })]
    [InlineData(new[] { 64L, 64, 64 })]
    [InlineData(new[] { 0L, 64, 64 })]
    public void One_expert_may_have_all_rows_and_the_others_get_gradients_of_zero(long[] ends)
    {
        using var scope = NewDisposeScope();
        Tensor x = randn(64, 32).to(ScalarType.BFloat16), g = randn(64, 32).to(ScalarType.BFloat16), w = randn(3, 32, 32);
        foreach (var (_, recipe) in Recipes)
            foreach (var way in Experts.Ways)
            {
                var (_, _, gradW) = Experts.Run(recipe, way, x, w, g, RowGroups.Of(ends, CPU));
                Assert.Equal((ScalarType.Float32, w.shape.Length), (gradW.dtype, gradW.shape.Length));
                for (var e = 0; e < 3; e++) Assert.Equal(ends[e] > (e == 0 ? 0 : ends[e - 1]), gradW[e].abs().max().item<float>() > 0);
            }
    }

    [Theory]
    [InlineData(new[] { 16L, 64 }, "group 0 of 2 has 16 rows; expected a multiple of 32")]
    [InlineData(new[] { 32L, 96 }, "rows 32 to 96 of 64")]
    [InlineData(new[] { 64L, 32 }, "rows 64 to 32 of 64")]
    public void Groups_that_are_no_multiple_or_leave_the_rows_are_refused_by_number(long[] ends, string says)
    {
        using var scope = NewDisposeScope();
        Tensor x = randn(64, 32).to(ScalarType.BFloat16), w = randn(2, 32, 32);
        var e = Assert.Throws<TitanException>(() => Experts.Run(Numbers.GroupedMx, "fused", x, w, x, RowGroups.Of(ends, CPU)));
        Assert.Equal(ExitCode.RunFailed, e.Code);
        Assert.Contains(says, e.Message);
    }

    [Fact]
    public void Float8_asks_for_groups_of_16_and_a_weight_that_fits()
    {
        using var scope = NewDisposeScope();
        Tensor x = randn(64, 32).to(ScalarType.BFloat16);
        Assert.Contains("multiple of 16", Assert.Throws<TitanException>(() => Experts.Run(Numbers.GroupedRowwise, "fused", x, randn(2, 32, 32), x, RowGroups.Of([8, 64], CPU))).Message);
        Assert.Contains("expected [2, N, 32]", Assert.Throws<ArgumentException>(() => Experts.Run(Numbers.GroupedRowwise, "fused", x, randn(2, 32, 48), x, RowGroups.Of([16, 64], CPU))).Message);
        Assert.Contains("expected [2, N, 32]", Assert.Throws<ArgumentException>(() => Experts.Run(Numbers.GroupedRowwise, "fused", x, randn(3, 32, 32), x, RowGroups.Of([16, 64], CPU))).Message);
    }

    [Fact]
    public void Two_weights_that_read_the_same_rows_cast_them_once_and_a_weight_is_cast_once_for_all_micro_batches()
    {
        using var scope = NewDisposeScope();
        var kernels = new CountingCasts();
        var engine = new GroupedEngine(new LinearEngine("test", Numbers.GroupedRowwise, kernels, k => new DecodedMatmul(k), new MatmulCounter()));
        var layer = new Experts(("w1", randn(2, 64, 32)), ("w3", randn(2, 64, 32)));
        layer.Matmul = new QuantizedGroupedMatmul(engine, layer, "experts");
        for (var batch = 0; batch < 3; batch++) Step();
        // Rows once and their two groups once in each batch; of each weight both casts once, the second one expert by expert.
        Assert.Equal((3, 3 * 2, 2, 2 * 2), (kernels.Casts(96, 32), kernels.Casts(48, 32), kernels.Casts(128, 32), kernels.Casts(64, 32)));
        using (no_grad()) layer.Weights[0].Source.Parameter.mul_(2);
        Step();
        Assert.Equal((3, 3 * 2), (kernels.Casts(128, 32), kernels.Casts(64, 32)));
        engine.Linear.AfterOptimizerStep();
        Step();
        Assert.Equal((5, 5 * 2), (kernels.Casts(128, 32), kernels.Casts(64, 32)));
        Assert.Equal(5 * 2 * 3, engine.Linear.Counter.Take());

        void Step()
        {
            using var rows = new Activation(randn(96, 32).requires_grad_());
            var groups = RowGroups.Of([48, 96], CPU);
            (layer.Matmul.Multiply(rows, groups, layer.Weights[0].Source) + layer.Matmul.Multiply(rows, groups, layer.Weights[1].Source)).sum().backward();
            BackwardFailure.ThrowIfAny();
        }
    }

    [Fact]
    public void Rows_that_came_as_bytes_give_the_output_of_rows_that_are_cast_here()
    {
        using var scope = NewDisposeScope();
        Tensor x = randn(64, 64).to(ScalarType.BFloat16), w = randn(2, 32, 64), g = randn(64, 32).to(ScalarType.BFloat16);
        var groups = RowGroups.Of([32, 64], CPU);
        foreach (var (name, recipe) in Recipes)
        {
            var (y, gradX, gradW) = Experts.Run(recipe, "fused", x, w, g, groups);
            var engine = Experts.Engine(recipe, "fused");
            IActivationCodec codec = RowCodec.OfRows(engine.Linear, forTraining: true), exact = RowCodec.OfRows(engine.Linear, forTraining: false);
            Assert.Null(exact.Encode(x.unsqueeze(0), null, forBackward: true, a => a));
            Assert.NotNull(exact.Encode(x.unsqueeze(0), null, forBackward: false, a => a));
            // Two senders, each with its rows.
            var parts = new[] { 0, 40 }.Select((begin, i) => codec.Encode(x.narrow(0, begin, i == 0 ? 40 : 24).unsqueeze(0), null, forBackward: true, a => a)!).ToList();
            var whole = new EncodedActivation([.. Enumerable.Range(0, parts[0].Planes.Count).Select(p => cat([.. parts.Select(part => part.Planes[p])], 1))], null);
            Assert.True(whole.Planes.Sum(p => p.numel() * p.element_size()) <= x.numel() * 1.07);
            var leaf = codec.Decode(whole, x.dtype).squeeze(0).detach().requires_grad_();
            using var rows = new Activation(leaf);
            codec.Attach(rows, whole);
            var layer = new Experts(("w", w));
            var multiplied = new QuantizedGroupedMatmul(engine, layer, "experts").Multiply(rows, groups, layer.Weights[0].Source);
            Assert.True(y.eq(multiplied).all().item<bool>(), name);
            multiplied.backward([g]);
            BackwardFailure.ThrowIfAny();
            Assert.True(gradX.eq(leaf.grad!).all().item<bool>(), name);
            // The decoded rows are cast a second time; in high precision they are what they are.
            Assert.InRange(Numbers.Sqnr(gradW, layer.Weights[0].Source.Parameter.grad!), recipe.GradWeight.IsHighPrecision ? 26 : 40, double.PositiveInfinity);
        }
    }

    [Fact]
    public void Frozen_experts_keep_nothing_of_their_rows_and_pass_gradients_on()
    {
        using var scope = NewDisposeScope();
        Tensor x = randn(64, 32).to(ScalarType.BFloat16), g = randn(64, 32).to(ScalarType.BFloat16), w = randn(2, 32, 32);
        var layer = new Experts(("w", w));
        layer.Weights[0].Source.Parameter.requires_grad = false;
        layer.Matmul = new QuantizedGroupedMatmul(Experts.Engine(Numbers.GroupedRowwise, "fused"), layer, "experts");
        var leaf = x.clone().requires_grad_();
        using var rows = new Activation(leaf);
        layer.Matmul.Multiply(rows, RowGroups.Of([16, 64], CPU), layer.Weights[0].Source).backward([g]);
        BackwardFailure.ThrowIfAny();
        Assert.Null(layer.Weights[0].Source.Parameter.grad);
        Assert.True(leaf.grad!.eq(Experts.Run(Numbers.GroupedRowwise, "fused", x, w, g, RowGroups.Of([16, 64], CPU)).GradX).all().item<bool>());
    }

    [Fact]
    public void Many_steps_leave_no_tensor_behind()
    {
        using var outer = NewDisposeScope();
        var layer = new Experts(("w", randn(2, 32, 32)));
        layer.Matmul = new QuantizedGroupedMatmul(Experts.Engine(Numbers.GroupedRowwise, "fused"), layer, "experts");
        long after = 0;
        for (var i = 0; i < 200; i++)
        {
            using (NewDisposeScope())
            {
                layer.Run(randn(64, 32), randn(64, 32), RowGroups.Of([16, 64], CPU));
                layer.Weights[0].Source.Parameter.grad = null;
            }

            if (i == 3) after = Tensor.TotalCount;
        }

        Assert.True(Tensor.TotalCount <= after + 4, $"{after} tensors after 3 steps, {Tensor.TotalCount} after 200");
    }
}
