using System.Text.Json;
using Titan.Abstractions;
using Titan.Kernels.Casts;
using Titan.Quantization.Linear;
using Titan.Quantization.Scaling;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests.Linear;

/// <summary>Replays every case that the reference implementation computed.</summary>
public class GoldenTests
{
    public static TheoryData<string, bool> Float8Cases() => Each(Golden.Float8Linear);

    public static TheoryData<string, bool> MxLinearCases() => Each(Golden.MxLinear);

    [Fact]
    public void The_vectors_cover_each_recipe_and_ordinary_and_special_tensors()
    {
        var cases = Golden.Float8Linear.Cases.Select(c => c.Split('.')).ToList();
        Assert.Equal(["rowwise", "rowwise_with_gw_hp", "tensorwise"], cases.Select(c => c[^1]).Distinct().Order());
        Assert.Equal(["col", "inf", "nan", "normal16x16x32", "normal64x48x96", "row", "tiny", "zero"], cases.Select(c => c[0]).Distinct().Order());
        Assert.Equal(2, Golden.MxLinear.Cases.Count());
    }

    [Theory]
    [MemberData(nameof(Float8Cases))]
    public void Bytes_and_scales_are_those_of_the_reference(string name, bool fused)
    {
        using var scope = NewDisposeScope();
        var kernels = fused ? CastKernels.Fused : CastKernels.Plain;
        var recipe = RecipeOf(name);
        var seen = new HashSet<string>();
        var i = 0;
        foreach (var entry in Golden.Float8Linear.Parameters(name).GetProperty("casts").EnumerateArray())
        {
            var role = entry.GetProperty("role").GetString()!;
            var first = seen.Add(role);
            // The reference casts the weight transposed, [K, N].
            var (x, cast) = role switch
            {
                "INPUT" => (Golden.Float8Linear[$"{name}.x"], first ? recipe.Output.Left : recipe.GradWeight.Right),
                "WEIGHT" => (Golden.Float8Linear[$"{name}.w"].t().contiguous(), first ? recipe.Output.Right : recipe.GradInput.Right),
                _ => (Golden.Float8Linear[$"{name}.g"], first ? recipe.GradInput.Left : recipe.GradWeight.Left),
            };
            var scaled = (OperandCast.Scaled)cast;
            var along = entry.GetProperty("reduced_dim");
            Assert.Equal(along.ValueKind == JsonValueKind.Null, scaled.Granularity is ScaleGranularity.Tensorwise);
            var quantized = QuantizedTensor.Cast(x, scaled, along.ValueKind != JsonValueKind.Null && along.GetInt32() == 0 ? 0 : 1, kernels);
            Tensor scale = Golden.Float8Linear[$"{name}.cast{i}.scale"];
            float[] expected = [.. scale.data<float>()], actual = [.. quantized.Scale.contiguous().data<float>()];
            Assert.Equal(expected.Select(BitConverter.SingleToUInt32Bits).Select(Nan), actual.Select(BitConverter.SingleToUInt32Bits).Select(Nan));
            Assert.Equal(Golden.Canonical(Golden.Float8Linear.Bytes($"{name}.cast{i}.data"), scaled.Format), Golden.Canonical(Numbers.Bytes(quantized.Data), scaled.Format));
            i++;
        }

        Assert.True(i >= 4);

        static uint Nan(uint bits) => (bits & 0x7fffffff) > 0x7f800000 ? 0x7fc00000 : bits;
    }

    [Theory]
    [MemberData(nameof(Float8Cases))]
    public void Output_and_gradients_are_those_of_the_reference(string name, bool fused) => Replay(Golden.Float8Linear, name, RecipeOf(name), fused);

    [Theory]
    [MemberData(nameof(MxLinearCases))]
    public void Output_and_gradients_of_the_mx_linear_are_those_of_the_reference(string name, bool fused) => Replay(Golden.MxLinear, name, Numbers.MxFloor, fused);

    private static void Replay(Golden golden, string name, LinearRecipe recipe, bool fused)
    {
        using var scope = NewDisposeScope();
        Tensor x = golden[$"{name}.x"], w = golden[$"{name}.w"], g = golden[$"{name}.g"];
        foreach (var emulate in new[] { true, false })
        {
            var layer = new QuantizedLinear(Numbers.Layer(w), Numbers.Engine(recipe, fused, emulate));
            var (y, gradX, gradW) = Numbers.Run(layer, x, g);
            // Summation order differs; the decoding backend may also round the unscaled sum to bf16.
            var bound = emulate ? 50 : 45;
            Same("y", y, bound);
            Same("grad_x", gradX, bound);
            Same("grad_w", gradW, bound);
        }

        void Same(string what, Tensor actual, double bound)
        {
            var expected = golden[$"{name}.{what}"];
            Assert.Equal(expected.dtype, actual.dtype);
            Assert.Equal(expected.shape, actual.shape);
            Assert.Equal(0, expected.isnan().ne(actual.isnan()).sum().item<long>());
            var sqnr = Numbers.Sqnr(expected.nan_to_num(), actual.nan_to_num());
            Assert.True(sqnr >= bound, $"{name} {what}: {sqnr:f1} dB");
        }
    }

    private static LinearRecipe RecipeOf(string name) => name.Split('.')[^1] switch
    {
        "tensorwise" => Numbers.Tensorwise,
        "rowwise" => Numbers.Rowwise,
        _ => Numbers.RowwiseWithHighPrecisionGradWeight,
    };

    private static TheoryData<string, bool> Each(Golden golden)
    {
        var data = new TheoryData<string, bool>();
        foreach (var name in golden.Cases)
        {
            data.Add(name, true);
            data.Add(name, false);
        }

        return data;
    }
}
