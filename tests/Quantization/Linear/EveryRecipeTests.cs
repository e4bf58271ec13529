using Titan.Abstractions;
using Titan.Quantization.Linear;
using Titan.Quantization.Matmuls;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests.Linear;

/// <summary>What holds for each recipe that ships, and for one that a third party might write.</summary>
public class EveryRecipeTests
{
    public static TheoryData<string, bool> Recipes()
    {
        var data = new TheoryData<string, bool>();
        foreach (var name in Numbers.All.Keys)
        {
            data.Add(name, true);
            data.Add(name, false);
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Recipes))]
    public void Output_and_gradients_keep_the_precision_of_their_formats(string name, bool emulate)
    {
        using var scope = NewDisposeScope();
        manual_seed(21);
        Tensor x = randn(128, 256).to(ScalarType.BFloat16), w = randn(192, 256) / 16, g = randn(128, 192).to(ScalarType.BFloat16);
        var (y, gradX, gradW) = Numbers.Run(Layer(name, w, emulate), x, g);
        Tensor x32 = x.to(ScalarType.Float32), g32 = g.to(ScalarType.Float32);
        // e4m3 with e5m2 for tensorwise gradients; FLOOR cuts off the largest values of a block.
        double least = name == "mxfp8_cublas" ? 26.5 : 27.5, leastGradient = name == "tensorwise" ? 23.5 : least;
        Between(least, 30, Numbers.Sqnr(x32.mm(w.t()), y));
        Between(leastGradient, name == "tensorwise" ? 26 : 30, Numbers.Sqnr(g32.mm(w), gradX));
        if (Numbers.All[name].GradWeight.IsHighPrecision) Assert.True(Numbers.Sqnr(g32.t().mm(x32), gradW) > 45);
        else Between(leastGradient, name == "tensorwise" ? 26 : 30, Numbers.Sqnr(g32.t().mm(x32), gradW));
    }

    [Fact]
    public void A_scale_per_row_isolates_a_bad_row_and_a_scale_per_block_a_bad_column()
    {
        using var scope = NewDisposeScope();
        manual_seed(0);
        Tensor row = randn(256, 512), w = randn(256, 512), column = randn(256, 512);
        row[3] *= 1e5;
        column[TensorIndex.Colon, 3] *= 1e5;
        var masked = w.clone();
        masked[TensorIndex.Colon, 3] = 0;
        double Median(string recipe, Tensor x, Tensor weight) =>
            Numbers.MedianRowSqnr(x.mm(weight.t()), new QuantizedLinear(Numbers.Layer(weight), Numbers.Engine(Numbers.All[recipe], emulate: true)).call(x));
        Assert.True(Median("tensorwise", row, w) < 15);
        Assert.True(Median("rowwise", row, w) > 27);
        Assert.True(Median("mxfp8_cublas", row, w) > 26.5);
        Assert.True(Median("rowwise", column, masked) < 20);
        Assert.True(Median("mxfp8_rceil", column, masked) > 25);
    }

    [Theory]
    [MemberData(nameof(Recipes))]
    public void A_non_finite_value_reaches_the_results_that_it_is_multiplied_into_and_zeros_give_zeros(string name, bool emulate)
    {
        using var scope = NewDisposeScope();
        manual_seed(22);
        foreach (var where in new[] { "x", "w", "g" })
        {
            foreach (var bad in new[] { float.NaN, float.PositiveInfinity, float.NegativeInfinity })
            {
                Tensor x = randn(64, 64).to(ScalarType.BFloat16), w = randn(96, 64), g = randn(64, 96).to(ScalarType.BFloat16);
                (where switch { "x" => x, "w" => w, _ => g })[2, 3] = bad;
                var (y, gradX, gradW) = Numbers.Run(Layer(name, w, emulate), x, g);
                Assert.Equal(where is "x" or "w", NotFinite(y));
                Assert.Equal(where is "g" or "w", NotFinite(gradX));
                Assert.Equal(where is "g" or "x", NotFinite(gradW));
            }
        }

        var zero = Numbers.Run(Layer(name, randn(96, 64), emulate), zeros(64, 64).to(ScalarType.BFloat16), zeros(64, 96).to(ScalarType.BFloat16));
        foreach (var t in new[] { zero.Y, zero.GradX, zero.GradW }) Assert.Equal(0f, t.abs().max().to(ScalarType.Float32).item<float>());

        static bool NotFinite(Tensor t) => !t.isfinite().all().item<bool>();
    }

    [Theory]
    [MemberData(nameof(Recipes))]
    public void Any_number_of_tokens_a_third_dimension_and_a_bias_are_served(string name, bool emulate)
    {
        using var scope = NewDisposeScope();
        manual_seed(23);
        Tensor w = randn(96, 64) / 8, b = randn(96);
        foreach (var shape in new long[][] { [1], [33], [2, 17], [2, 3, 16], [0], [2, 0] })
        {
            Tensor x = randn([.. shape, 64]).to(ScalarType.BFloat16), g = randn([.. shape, 96]).to(ScalarType.BFloat16);
            var layer = new QuantizedLinear(Numbers.Layer(w, b), Numbers.Engine(Numbers.All[name], emulate: emulate));
            var (y, gradX, gradW) = Numbers.Run(layer, x, g);
            Assert.Equal([.. shape, 96], y.shape);
            Assert.Equal(x.shape, gradX.shape);
            Assert.Equal(w.shape, gradW.shape);
            if (x.numel() == 0)
            {
                Assert.Equal(0f, gradW.abs().max().item<float>());
                continue;
            }

            Tensor x32 = x.to(ScalarType.Float32).reshape(-1, 64), g32 = g.to(ScalarType.Float32).reshape(-1, 96);
            // Single rows scatter more than whole matrices.
            Assert.True(Numbers.Sqnr(nn.functional.linear(x32, w, b), y.reshape(-1, 96)) > 24);
            Assert.True(Numbers.Sqnr(g32.mm(w), gradX.reshape(-1, 64)) > 20);
            Assert.True(Numbers.Sqnr(g32.t().mm(x32), gradW) > 20);
            var bias = Numbers.Sqnr(g32.sum(dim: 0L), layer.Bias!.Parameter.grad!);
            Assert.True(bias > 40, $"[{string.Join(", ", shape)}]: {bias:f1} dB");
        }
    }

    [Theory]
    [MemberData(nameof(Recipes))]
    public void An_input_or_a_gradient_that_is_not_contiguous_gives_the_same_bits(string name, bool emulate)
    {
        using var scope = NewDisposeScope();
        manual_seed(27);
        Tensor x = randn(3, 32, 64).to(ScalarType.BFloat16), w = randn(96, 64), g = randn(3, 32, 96).to(ScalarType.BFloat16);
        var layer = Layer(name, w, emulate);
        var one = Numbers.Run(layer, x, g);
        foreach (var (input, gradient) in new[] { (x, Scattered(g)), (Scattered(x), g), (Scattered(x), Scattered(g)) })
        {
            var other = Numbers.Run(layer, input, gradient);
            Assert.Equal(0, one.Y.ne(other.Y).sum().item<long>());
            Assert.Equal(0, one.GradX.ne(other.GradX).sum().item<long>());
            Assert.Equal(0, one.GradW.ne(other.GradW).sum().item<long>());
        }

        static Tensor Scattered(Tensor t)
        {
            var same = t.permute(2, 0, 1).contiguous().permute(1, 2, 0);
            Assert.False(same.is_contiguous());
            return same;
        }
    }

    [Theory]
    [MemberData(nameof(Recipes))]
    public void Computing_a_layer_again_gives_the_same_bits(string name, bool emulate)
    {
        using var scope = NewDisposeScope();
        manual_seed(24);
        Tensor x = randn(64, 64).to(ScalarType.BFloat16), w = randn(96, 64), g = randn(64, 96).to(ScalarType.BFloat16);
        var layer = Layer(name, w, emulate);
        var one = Numbers.Run(layer, x, g);
        var two = Numbers.Run(layer, x.clone(), g);
        Assert.Equal(0, one.Y.ne(two.Y).sum().item<long>());
        Assert.Equal(0, one.GradX.ne(two.GradX).sum().item<long>());
        Assert.Equal(0, one.GradW.ne(two.GradW).sum().item<long>());
    }

    [Theory]
    [InlineData("tensorwise", 3), InlineData("rowwise", 3), InlineData("rowwise_with_gw_hp", 2), InlineData("mxfp8_cublas", 3), InlineData("mxfp8_rceil_wgrad_with_hp", 2)]
    public void The_matmuls_that_the_recipe_casts_are_counted(string name, long count)
    {
        using var scope = NewDisposeScope();
        var counter = new MatmulCounter();
        var layer = new QuantizedLinear(Numbers.Layer(randn(32, 32)), Numbers.Engine(Numbers.All[name], counter: counter));
        Numbers.Run(layer, randn(32, 32), randn(32, 32));
        Assert.Equal(count, counter.Take());
    }

    [Fact]
    public void Blocks_of_two_lengths_meet_in_one_matmul()
    {
        using var scope = NewDisposeScope();
        manual_seed(25);
        OperandCast left = E4M3.Block(32, ScaleRounding.RoundUp), right = E4M3.Block(64, ScaleRounding.Floor);
        var recipe = new LinearRecipe(new(left, right), new(left, E4M3.Tensorwise), new(right, E4M3.Rowwise));
        // 40 tokens: the one operand is filled up to 64, the other follows.
        Tensor x = randn(40, 64).to(ScalarType.BFloat16), w = randn(128, 64) / 8, g = randn(40, 128).to(ScalarType.BFloat16);
        foreach (var emulate in new[] { true, false })
        {
            var (y, gradX, gradW) = Numbers.Run(new QuantizedLinear(Numbers.Layer(w), Numbers.Engine(recipe, emulate: emulate)), x, g);
            Tensor x32 = x.to(ScalarType.Float32), g32 = g.to(ScalarType.Float32);
            Assert.True(Numbers.Sqnr(x32.mm(w.t()), y) > 26.5);
            Assert.True(Numbers.Sqnr(g32.mm(w), gradX) > 26.5);
            Assert.True(Numbers.Sqnr(g32.t().mm(x32), gradW) > 26.5);
        }
    }

    [Theory]
    [InlineData(true), InlineData(false)]
    public void Tiles_and_blocks_with_fp32_scales_give_the_values_of_the_definition(bool emulate)
    {
        using var scope = NewDisposeScope();
        manual_seed(26);
        OperandCast activation = new OperandCast.Scaled(Float8Format.E4M3, new ScaleGranularity.Block(128), ScaleRounding.None);
        OperandCast weight = new OperandCast.Scaled(Float8Format.E4M3, new ScaleGranularity.Tile(128, 128), ScaleRounding.None);
        var recipe = new LinearRecipe(new(activation, weight), new(activation, weight), new(activation, activation));
        Tensor x = randn(200, 256), w = randn(384, 256) / 16, g = randn(200, 384);
        var (y, gradX, gradW) = Numbers.Run(new QuantizedLinear(Numbers.Layer(w), Numbers.Engine(recipe, emulate: emulate)), x, g);
        // By loops over the definition: a tile at a time.
        Tensor wq = Tiles(w, 128, 128), xRows = Tiles(x, 1, 128), gRows = Tiles(g, 1, 128), xColumns = Tiles(x, 128, 1), gColumns = Tiles(g, 128, 1);
        Assert.True(Numbers.Sqnr(xRows.mm(wq.t()), y) > 100);
        Assert.True(Numbers.Sqnr(gRows.mm(wq), gradX) > 100);
        Assert.True(Numbers.Sqnr(gColumns.t().mm(xColumns), gradW) > 100);

        static Tensor Tiles(Tensor t, long rows, long columns)
        {
            var result = zeros_like(t);
            for (long r = 0; r < t.shape[0]; r += rows)
            {
                for (long c = 0; c < t.shape[1]; c += columns)
                {
                    using var scope = NewDisposeScope();
                    var part = t.narrow(0, r, Math.Min(rows, t.shape[0] - r)).narrow(1, c, Math.Min(columns, t.shape[1] - c));
                    var scale = (float)(448 / Math.Max((double)part.abs().max().item<float>(), 1e-12));
                    result.narrow(0, r, part.shape[0]).narrow(1, c, part.shape[1]).copy_((part * scale).to(Float8Format.E4M3.Type).to(ScalarType.Float32) / scale);
                }
            }

            return result;
        }
    }

    private static QuantizedLinear Layer(string name, Tensor w, bool emulate) => new(Numbers.Layer(w), Numbers.Engine(Numbers.All[name], emulate: emulate));

    private static void Between(double least, double most, double sqnr) => Assert.True(sqnr >= least && sqnr <= most, $"{sqnr:f2} dB, expected {least} to {most}");
}
