using Titan.Abstractions;
using Titan.Kernels.Casts;
using Titan.Kernels.Aten;
using Titan.Quantization.Grouped;
using Titan.Quantization.Linear;
using Titan.Quantization.Scaling;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests.Grouped;

/// <summary>Replays what the reference implementation computed for experts.</summary>
public class GroupedGoldenTests
{
    public static TheoryData<string, string> Float8Cases() => Each(Golden.Float8Grouped.Cases);

    public static TheoryData<string, string> MxCases() => Each(Golden.MxGrouped.Cases.Where(c => c.Contains('.')));

    public static TheoryData<string> MxNames() => [.. Golden.MxGrouped.Cases.Where(c => c.EndsWith(".rceil", StringComparison.Ordinal))];

    [Theory]
    [MemberData(nameof(Float8Cases))]
    public void Bytes_and_scales_of_float8_are_those_of_the_reference(string name, string way)
    {
        using var scope = NewDisposeScope();
        var golden = Golden.Float8Grouped;
        var casts = Casts(Numbers.GroupedRowwise, way, golden[$"{name}.a"], golden[$"{name}.w"], golden[$"{name}.g"], Groups(golden, name));
        foreach (var (cast, operand) in casts)
        {
            Assert.Equal(golden.Bytes($"{name}.{cast}.data"), Numbers.Bytes(operand.Data));
            Assert.Equal(golden.Bytes($"{name}.{cast}.scale"), Numbers.Bytes(operand.Scale));
        }
    }

    [Theory]
    [MemberData(nameof(MxCases))]
    public void Bytes_and_scales_of_microscaling_are_those_of_the_reference(string name, string way)
    {
        using var scope = NewDisposeScope();
        var golden = Golden.MxGrouped;
        var data = name.Split('.')[0];
        var casts = Casts(MxRecipe(name), way, golden[$"{data}.a"], golden[$"{data}.w"], golden[$"{data}.g"], Groups(golden, data));
        foreach (var (cast, operand) in casts)
        {
            // The reference shows both operands of grad_weight transposed.
            var turned = cast.EndsWith("_grad_w", StringComparison.Ordinal);
            Assert.Equal(golden.Bytes($"{name}.{cast}.data"), Numbers.Bytes(turned ? operand.Data.t().contiguous() : operand.Data));
            Assert.Equal(golden.Bytes($"{name}.{cast}.scale"), Numbers.Bytes(turned ? operand.Scale.t().contiguous() : operand.Scale));
        }
    }

    [Theory]
    [MemberData(nameof(Float8Cases))]
    public void Output_and_gradients_of_float8_equal_the_reference_in_every_element(string name, string way) =>
        Replay(Golden.Float8Grouped, name, name, Numbers.GroupedRowwise, way, double.PositiveInfinity);

    [Theory]
    [MemberData(nameof(MxCases))]
    public void Output_and_gradients_of_microscaling_are_those_of_the_reference(string name, string way) =>
        Replay(Golden.MxGrouped, name.Split('.')[0], name, MxRecipe(name), way, 60);

    [Theory]
    [MemberData(nameof(MxNames))]
    public void Scales_of_blocks_lie_as_a_grouped_product_on_tensor_cores_reads_them(string name)
    {
        using var scope = NewDisposeScope();
        var golden = Golden.MxGrouped;
        var groups = Groups(golden, name.Split('.')[0]);
        var seen = 0;
        foreach (var cast in new[] { "a_output", "w_output", "w_grad_a", "g_grad_w", "a_grad_w" })
        {
            if (!golden.Names.Contains($"{name}.{cast}.blocked")) continue;
            var scale = AtenGateway.ViewDtype(golden[$"{name}.{cast}.scale"], Float8Format.E8M0.Type);
            var made = cast switch
            {
                "a_output" => GroupSwizzle.Rows(scale, groups),
                "w_output" => GroupSwizzle.Experts(scale),
                "w_grad_a" => GroupSwizzle.Experts(scale.transpose(1, 2)),
                _ => GroupSwizzle.Columns(scale, groups, 32),
            };
            Assert.Equal(golden[$"{name}.{cast}.blocked"].shape, made.shape);
            Assert.Equal(golden.Bytes($"{name}.{cast}.blocked"), Numbers.Bytes(made));
            seen++;
        }

        Assert.True(seen >= 4);
    }

    [Theory]
    [InlineData("odd", "fp8", "emulated")]
    [InlineData("odd", "fp8", "fused")]
    [InlineData("even", "fp8", "fused")]
    [InlineData("odd", "mxfp8", "emulated")]
    [InlineData("odd", "mxfp8", "fused")]
    [InlineData("even", "mxfp8", "fused")]
    public void A_feed_forward_of_experts_is_that_of_the_reference(string name, string format, string way)
    {
        using var scope = NewDisposeScope();
        var golden = Golden.ExpertsQuantised;
        Tensor Wide(string key) => golden[$"{name}.{key}"].to(ScalarType.BFloat16);
        var recipe = format == "fp8" ? Numbers.GroupedRowwise : Numbers.GroupedMx;
        var layer = new Experts(("w1", Wide("w1")), ("w2", Wide("w2")), ("w3", Wide("w3")));
        layer.Matmul = new QuantizedGroupedMatmul(Experts.Engine(recipe, way), layer, "experts");
        var (index, groups) = Padded([.. golden[$"{name}.counts"].data<long>()], layer.Matmul.RowMultiple);
        var x = Wide("x").requires_grad_();
        var filled = cat([x, zeros(1, x.shape[1], dtype: x.dtype)]).index_select(0, index);
        using var rows = new Activation(filled);
        var hidden = nn.functional.silu(layer.Matmul.Multiply(rows, groups, layer.Weights[0].Source)) * layer.Matmul.Multiply(rows, groups, layer.Weights[2].Source);
        using var between = new Activation(hidden);
        var y = layer.Matmul.Multiply(between, groups, layer.Weights[1].Source);
        var output = zeros(x.shape[0] + 1, x.shape[1], dtype: x.dtype).index_copy(0, index, y).narrow(0, 0, x.shape[0]);
        output.backward([Wide("grad_output")]);
        BackwardFailure.ThrowIfAny();
        foreach (var (key, value) in new[] { ("output", output), ("grad_x", x.grad!), ("grad_w1", Grad(0)), ("grad_w2", Grad(1)), ("grad_w3", Grad(2)) })
            Assert.InRange(Numbers.Sqnr(golden[$"{name}.{format}.{key}"], value.detach()), 40, double.PositiveInfinity);

        Tensor Grad(int i) => layer.Weights[i].Source.Parameter.grad!;
    }

    /// <summary>Where each row of the filled matrix comes from, the last for rows of zeros.</summary>
    private static (Tensor Index, RowGroups Groups) Padded(long[] counts, int multiple)
    {
        var index = new List<long>();
        var ends = new List<long>();
        long next = 0, none = counts.Sum();
        foreach (var count in counts)
        {
            for (var i = 0; i < count; i++) index.Add(next++);
            while (index.Count % multiple != 0 || index.Count == (ends.Count == 0 ? 0 : ends[^1])) index.Add(none);
            ends.Add(index.Count);
        }

        return (tensor(index.ToArray()), RowGroups.Of(ends, CPU));
    }

    private static void Replay(Golden golden, string data, string name, LinearRecipe recipe, string way, double bound)
    {
        using var scope = NewDisposeScope();
        Tensor a = golden[$"{data}.a"], w = golden[$"{data}.w"], g = golden[$"{data}.g"];
        var (y, gradA, gradW) = Experts.Run(recipe, way, a, w, g, Groups(golden, data));
        foreach (var (key, value) in new[] { ("y", y), ("grad_a", gradA), ("grad_w", gradW) })
        {
            Assert.Equal(ScalarType.BFloat16, value.dtype);
            Assert.InRange(Numbers.Sqnr(golden[$"{name}.{key}"], value), bound, double.PositiveInfinity);
        }
    }

    private static IEnumerable<(string Cast, QuantizedTensor Operand)> Casts(LinearRecipe recipe, string way, Tensor a, Tensor w, Tensor g, RowGroups groups)
    {
        var engine = Experts.Engine(recipe, way);
        yield return ("a_output", engine.CastRows("", "", a, recipe.Output.Left).Quantized!);
        yield return ("w_output", engine.CastWeight("", "", w, WeightUse.Output).Quantized!);
        yield return ("g_grad_a", engine.CastRows("", "", g, recipe.GradInput.Left).Quantized!);
        yield return ("w_grad_a", engine.CastWeight("", "", w, WeightUse.GradInput).Quantized!);
        yield return ("g_grad_w", engine.CastColumns("", "", g, recipe.GradWeight.Left, groups).Quantized!);
        yield return ("a_grad_w", engine.CastColumns("", "", a, recipe.GradWeight.Right, groups).Quantized!);
    }

    private static LinearRecipe MxRecipe(string name)
    {
        var block = E4M3.Block(32, name.EndsWith(".floor", StringComparison.Ordinal) ? ScaleRounding.Floor : ScaleRounding.RoundUp);
        return new LinearRecipe(new(block, block), new(block, block), new(block, block));
    }

    private static RowGroups Groups(Golden golden, string name) => new(golden[$"{name}.offs"]);

    private static TheoryData<string, string> Each(IEnumerable<string> cases)
    {
        var data = new TheoryData<string, string>();
        foreach (var name in cases)
            foreach (var way in Experts.Ways) data.Add(name, way);
        return data;
    }
}
