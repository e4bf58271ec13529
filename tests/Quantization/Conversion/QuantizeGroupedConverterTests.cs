using Titan.Abstractions;
using Titan.Plugins.Float8Rowwise;
using Titan.Plugins.Float8Tensorwise;
using Titan.Plugins.MXFP8;
using Titan.Quantization.Conversion;
using Titan.Quantization.Tests.Grouped;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests.Conversion;

public class QuantizeGroupedConverterTests
{
    private static ConversionContext Context(DeviceCapability device, int ep = 1) => new(device, Fused: true, new ParallelDimensions { ExpertParallel = ep });

    private static QuantizeGroupedConverter Converter(string family, string name, IQuantizationRecipe recipe) =>
        new(family, [(new RecipeMetadata { Family = family, Name = name, IsDefault = true, Status = ExportStatus.Prototype }, recipe, new NoOptions())]);

    private static readonly QuantizeGroupedConverter Float8 = Converter("float8", "rowwise", new GroupedRowwiseRecipe());

    private static TitanException Refused(ExitCode code, Action action)
    {
        var e = Assert.Throws<TitanException>(action);
        Assert.Equal(code, e.Code);
        Assert.DoesNotContain('\n', e.Message);
        return e;
    }

    [Fact]
    public void Experts_are_reported_with_their_shapes_and_a_linear_that_fqns_also_catches_is_said_to_be_none()
    {
        using var model = new Mixture(32, 64);
        var report = Float8.Convert(new ModelSlots(model), new QuantizeGroupedOptions { Fqns = ["blocks_1"] }, Context(DeviceCapability.Cpu)).Report;
        Assert.Equal(
            [
                ("blocks_0.experts.w1", "4 x 64 x 32", null, "fqns does not name it"), ("blocks_0.experts.w2", "4 x 32 x 64", null, "fqns does not name it"),
                ("blocks_1.experts.w1", "4 x 64 x 32", "float8/rowwise", null), ("blocks_1.experts.w2", "4 x 32 x 64", "float8/rowwise", null),
            ],
            report.Layers.Where(l => l.Experts is not null).Select(l => (l.Fqn, l.ShapeText, l.Recipe, l.SkippedBy)));
        Assert.All(report.Layers.Where(l => l.Experts is null), l => Assert.Contains("a linear layer: quantize.linear.float8 converts these", l.SkippedBy));
        Assert.Equal(["blocks_1.shared_experts"], report.Layers.Where(l => l.Experts is null).Select(l => l.Fqn));
        Assert.Equal((2, 3), (report.Converted, report.Skipped));
        Assert.IsType<HighPrecisionGroupedMatmul>(model.Blocks[0].Matmul);
        Assert.Equal(16, model.Blocks[1].Matmul.RowMultiple);
        Assert.Contains("4 x 64 x 32", ReportText.Render(report));
    }

    [Theory]
    [InlineData(new string[0], "fqns is empty, so that nothing would be converted")]
    [InlineData(new[] { "experts", "expert_s" }, "fqns entry 'expert_s' matches no layer of experts; the model's experts: blocks_0.experts, blocks_1.experts")]
    [InlineData(new[] { "shared" }, "fqns entry 'shared' matches no layer of experts")]
    [InlineData(new[] { "" }, "fqns holds an empty entry")]
    public void What_would_convert_nothing_is_an_error_that_names_the_experts(string[] fqns, string says)
    {
        using var model = new Mixture(32, 64);
        Assert.Contains(says, Refused(ExitCode.Usage, () => Float8.Convert(new ModelSlots(model), new QuantizeGroupedOptions { Fqns = fqns }, Context(DeviceCapability.Cpu))).Message);
        Assert.All(model.Blocks, b => Assert.IsType<HighPrecisionGroupedMatmul>(b.Matmul));
    }

    [Fact]
    public void A_model_without_experts_is_an_error()
    {
        using var model = new TinyModel(META);
        Assert.Contains("this model has no experts", Refused(ExitCode.Usage, () => Float8.Convert(new ModelSlots(model), new QuantizeGroupedOptions { Fqns = ["experts"] }, Context(DeviceCapability.Cpu))).Message);
    }

    [Fact]
    public void Hardware_that_upstream_takes_and_ignores_is_refused_unless_it_emulates()
    {
        var experts = new QuantizeGroupedOptions { Fqns = ["experts"] };
        using var model = new Mixture(32, 64);
        Assert.Contains("needs SM90 or newer, found SM89", Refused(ExitCode.Hardware, () => Float8.Convert(new ModelSlots(model), experts, Context(new DeviceCapability(true, 8, 9)))).Message);
        Assert.Contains("needs SM100 or newer", Refused(ExitCode.Hardware, () => Converter("mx", "mxfp8", new GroupedRceilRecipe()).Convert(new ModelSlots(model), experts, Context(new DeviceCapability(true, 9, 0)))).Message);
        Assert.Equal(4, Float8.Convert(new ModelSlots(model), experts with { Emulate = true }, Context(new DeviceCapability(true, 8, 9))).Report.Converted);
    }

    [Fact]
    public void A_recipe_with_a_scale_for_all_rows_cannot_serve_experts_and_its_cast_is_named()
    {
        using var model = new Mixture(32, 64);
        var experts = new QuantizeGroupedOptions { Fqns = ["experts"] };
        Assert.Contains("recipe 'float8/tensorwise' cannot serve experts: output's left operand (input), dyn_ten_e4m3, has one scale for the rows of all experts",
            Refused(ExitCode.Usage, () => Converter("float8", "tensorwise", new TensorwiseRecipe()).Convert(new ModelSlots(model), experts, Context(DeviceCapability.Cpu))).Message);
        Assert.Contains("grad_input's right operand (weight)",
            Refused(ExitCode.Usage, () => Converter("float8", "rowwise_with_gw_hp", new RowwiseWithGradWeightHighPrecisionRecipe()).Convert(new ModelSlots(model), experts, Context(DeviceCapability.Cpu))).Message);
        Assert.Equal(4, Converter("float8", "rowwise", new RowwiseRecipe()).Convert(new ModelSlots(model), experts, Context(DeviceCapability.Cpu)).Report.Converted);
    }

    [Fact]
    public void Dimensions_that_no_block_divides_and_a_second_claim_are_refused()
    {
        var experts = new QuantizeGroupedOptions { Fqns = ["experts"] };
        using var odd = new Mixture(32, 40);
        Assert.Contains("blocks_0.experts.w1 is [4, 40, 32]; expected N and K that are multiples of 16", Refused(ExitCode.Usage, () => Float8.Convert(new ModelSlots(odd), experts, Context(DeviceCapability.Cpu))).Message);
        using var model = new Mixture(32, 64);
        Float8.Convert(new ModelSlots(model), experts, Context(DeviceCapability.Cpu));
        Assert.Contains("both claim layer 'blocks_0.experts'", Refused(ExitCode.Plugin, () => Float8.Convert(new ModelSlots(model), experts, Context(DeviceCapability.Cpu))).Message);
    }

    [Fact]
    public void Bytes_to_other_ranks_are_noted_where_there_are_none()
    {
        using var model = new Mixture(32, 64);
        var options = new QuantizeGroupedOptions { Fqns = ["experts"], EnableFloat8Dispatch = true };
        Assert.Contains("has no effect", Assert.Single(Float8.Convert(new ModelSlots(model), options, Context(DeviceCapability.Cpu)).Report.Notes));
        using var other = new Mixture(32, 64);
        Assert.Empty(Float8.Convert(new ModelSlots(other), options, Context(DeviceCapability.Cpu, ep: 2)).Report.Notes);
        Assert.Equal("dyn_axs_e4m3", other.Blocks[0].Matmul.RowCodec!.Describe(forBackward: true));
    }

    /// <summary>Two blocks of four experts and a shared one.</summary>
    private sealed class Mixture : nn.Module<Tensor, Tensor>
    {
        public Mixture(long dimension, long hidden) : base(nameof(Mixture))
        {
            Blocks = [.. Enumerable.Range(0, 2).Select(_ => new Experts(("w1", zeros(4, hidden, dimension)), ("w2", zeros(4, dimension, hidden))))];
            for (var i = 0; i < 2; i++) register_module($"blocks_{i}", new Block(Blocks[i]));
        }

        public IReadOnlyList<IGroupedLayer> Blocks { get; }

        public override Tensor forward(Tensor x) => x;
    }

    private sealed class Block : nn.Module<Tensor, Tensor>, ISlotOwner
    {
        public Block(IGroupedLayer experts) : base(nameof(Block))
        {
            register_module("experts", (nn.Module)experts);
            Slots = [new ModuleSlot(this, "shared_experts", new Abstractions.Linear(32, 32))];
        }

        public IReadOnlyList<ModuleSlot> Slots { get; }

        public override Tensor forward(Tensor x) => x;
    }
}
