using Titan.Abstractions;
using Titan.Kernels.Casts;
using Titan.Quantization.Linear;
using Titan.Quantization.Scaling;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests.Linear;

/// <summary>Layers as small as the reference's own tests have them, in every shape, dtype and granularity.</summary>
public class SmallLayerTests
{
    private static readonly long[][] Shapes = [[16], [2, 16], [3, 2, 16]];

    public static TheoryData<string, ScalarType, bool, bool> Layers()
    {
        var data = new TheoryData<string, ScalarType, bool, bool>();
        foreach (var recipe in new[] { "tensorwise", "rowwise", "rowwise_with_gw_hp" })
            foreach (var type in new[] { ScalarType.BFloat16, ScalarType.Float16, ScalarType.Float32 })
                foreach (var bias in new[] { true, false })
                    foreach (var emulate in new[] { true, false })
                        data.Add(recipe, type, bias, emulate);
        return data;
    }

    [Theory]
    [MemberData(nameof(Layers))]
    public void Two_iterations_keep_the_precision_of_the_format_and_the_gradient_of_the_bias(string recipe, ScalarType type, bool bias, bool emulate)
    {
        double output = double.PositiveInfinity, weight = double.PositiveInfinity;
        for (var seed = 0; seed < 10; seed++)
        {
            foreach (var shape in Shapes)
            {
                using var scope = NewDisposeScope();
                manual_seed(seed);
                Tensor x = randn([.. shape, 16]).to(type), w = randn(32, 16).to(type) / 4, b = randn(32).to(type);
                var layer = new QuantizedLinear(Numbers.Layer(w, bias ? b : null), Numbers.Engine(Numbers.All[recipe], emulate: emulate));
                Tensor x32 = x.to(ScalarType.Float32), w32 = w.to(ScalarType.Float32).requires_grad_(), b32 = b.to(ScalarType.Float32).requires_grad_();
                for (var iteration = 0; iteration < 2; iteration++)
                {
                    var y = layer.call(x);
                    y.sum().backward();
                    BackwardFailure.ThrowIfAny();
                    var expected = bias ? nn.functional.linear(x32, w32, b32) : nn.functional.linear(x32, w32);
                    expected.sum().backward();
                    Assert.Equal([.. shape, 32], y.shape);
                    Assert.Equal(type, y.dtype);
                    output = Math.Min(output, Numbers.Sqnr(expected, y));
                }

                Assert.Equal(w.shape, layer.Weight.Parameter.grad!.shape);
                weight = Math.Min(weight, Numbers.Sqnr(w32.grad!, layer.Weight.Parameter.grad!));
                if (bias) Assert.True(layer.Bias!.Parameter.grad!.to(ScalarType.Float32).allclose(b32.grad!, rtol: 1e-5, atol: 1e-8));
            }
        }

        Assert.True(output >= 27 && weight >= 23, $"output {output:f2} dB, weight gradient {weight:f2} dB");
    }

    public static TheoryData<string, string> Granularities() => new() { { "rowwise", "rowwise" }, { "rowwise", "tensorwise" }, { "tensorwise", "rowwise" } };

    [Theory]
    [MemberData(nameof(Granularities))]
    public void Operands_with_a_scale_per_row_and_with_one_scale_meet_in_one_matmul(string left, string right)
    {
        var recipe = new LinearRecipe(new(Cast(left), Cast(right)), MatmulRecipe.HighPrecision, MatmulRecipe.HighPrecision);
        var least = double.PositiveInfinity;
        for (var seed = 0; seed < 20; seed++)
        {
            foreach (var emulate in new[] { true, false })
            {
                foreach (var shape in new long[][] { [16, 32], [2, 16, 32], [1, 2, 16, 32] })
                {
                    using var scope = NewDisposeScope();
                    manual_seed(seed);
                    Tensor a = randn(shape).to(ScalarType.BFloat16), b = randn(64, 32);
                    var y = new QuantizedLinear(Numbers.Layer(b), Numbers.Engine(recipe, emulate: emulate)).call(a);
                    Assert.Equal([.. shape[..^1], 64], y.shape);
                    least = Math.Min(least, Numbers.Sqnr(nn.functional.linear(a.to(ScalarType.Float32), b), y));
                }
            }
        }

        Assert.True(least >= 27, $"{least:f2} dB");

        static OperandCast Cast(string name) => name == "rowwise" ? E4M3.Rowwise : E4M3.TensorwisePowerOfTwo;
    }

    [Theory]
    [InlineData(1), InlineData(16)]
    public void A_cast_passes_its_gradient_on_as_it_is(int size)
    {
        using var scope = NewDisposeScope();
        manual_seed(81);
        // A product with the identity is the cast alone.
        var recipe = new LinearRecipe(new(E4M3.Tensorwise, E4M3.Tensorwise), MatmulRecipe.HighPrecision, MatmulRecipe.HighPrecision);
        Tensor x = randn(size, size), g = randn(size, size);
        var (y, gradX, _) = Numbers.Run(new QuantizedLinear(Numbers.Layer(eye(size)), Numbers.Engine(recipe, emulate: true)), x, g);
        Assert.Equal(0, y.ne(QuantizedTensor.Cast(x, (OperandCast.Scaled)E4M3.Tensorwise, 1, CastKernels.Plain).Dequantize()).sum().item<long>());
        Assert.Equal(0, gradX.ne(g).sum().item<long>());
    }

    [Theory]
    [InlineData("tensorwise"), InlineData("rowwise"), InlineData("mxfp8_rceil")]
    public void The_output_has_the_dtype_of_the_input_and_a_gradient_that_of_its_parameter(string recipe)
    {
        ScalarType[] types = [ScalarType.Float32, ScalarType.BFloat16, ScalarType.Float16];
        foreach (var parameters in types)
        {
            foreach (var input in types)
            {
                foreach (var emulate in new[] { true, false })
                {
                    using var scope = NewDisposeScope();
                    manual_seed(82);
                    Tensor x = randn(32, 32), w = randn(32, 32) / 6, g = randn(32, 32);
                    var layer = new QuantizedLinear(Numbers.Layer(w.to(parameters), zeros(32).to(parameters)), Numbers.Engine(Numbers.All[recipe], emulate: emulate));
                    var (y, gradX, gradW) = Numbers.Run(layer, x.to(input), g.to(input));
                    Assert.Equal((input, input, parameters, parameters), (y.dtype, gradX.dtype, gradW.dtype, layer.Bias!.Parameter.grad!.dtype));
                    Assert.True(Numbers.Sqnr(x.mm(w.t()), y) > 25);
                }
            }
        }
    }

    [Theory]
    [InlineData("tensorwise", "i:dyn_ten_e4m3,w:dyn_ten_e4m3,go:dyn_ten_e5m2")]
    [InlineData("rowwise", "i:dyn_axs_e4m3,w:dyn_axs_e4m3,go:dyn_axs_e4m3")]
    [InlineData("rowwise_with_gw_hp", "i:dyn_axs_e4m3,w:dyn_axs_e4m3,go:dyn_axs_e4m3,i_gw:hp,w_gi:dyn_ten_e4m3,go_gw:hp")]
    [InlineData("mxfp8_rceil", "i:dyn_blk32_e4m3,w:dyn_blk32_e4m3,go:dyn_blk32_e4m3")]
    public void A_layer_shows_its_casts(string recipe, string casts)
    {
        using var scope = NewDisposeScope();
        Assert.Contains(casts, new QuantizedLinear(Numbers.Layer(zeros(32, 32)), Numbers.Engine(Numbers.All[recipe])).ToString(), StringComparison.Ordinal);
    }
}
