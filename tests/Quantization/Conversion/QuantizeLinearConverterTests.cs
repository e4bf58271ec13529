using Titan.Abstractions;
using Titan.Plugins.Float8Tensorwise;
using Titan.Plugins.MXFP8;
using Titan.Quantization.Conversion;
using Titan.Quantization.Linear;
using Titan.Quantization.Matmuls;
using Titan.Quantization.Statistics;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests.Conversion;

public class QuantizeLinearConverterTests
{
    private static readonly QuantizeLinearConverter Converter = new(
        "float8",
        [(new RecipeMetadata { Family = "float8", Name = "tensorwise", IsDefault = true, Status = ExportStatus.Stable }, new TensorwiseRecipe())]);

    private static readonly ConversionContext Cpu = new(DeviceCapability.Cpu, Fused: true, new ParallelDimensions());

    private static ConversionReport Convert(nn.Module model, QuantizeLinearOptions own, NoOptions? options = null, ConversionContext? context = null) =>
        Converter.Convert(
            new ModelSlots(model), new QuantizeOptions(own, new Dictionary<string, object> { ["tensorwise"] = options ?? new NoOptions() }), context ?? Cpu).Report;

    private static TitanException Refused(ExitCode code, Func<object> action)
    {
        var e = Assert.Throws<TitanException>(action);
        Assert.Equal(code, e.Code);
        Assert.DoesNotContain('\n', e.Message);
        return e;
    }

    [Fact]
    public void EveryLayerIsReportedWithItsRecipeOrTheRuleThatSkippedIt()
    {
        using var model = new TinyModel(META);
        var report = Convert(model, new QuantizeLinearOptions { FilterFqns = ["output", "auto_filter_small_kn"] });
        Assert.Equal(
            [
                ("output", null, "filter_fqns \"output\""),
                ("layers_0.wide", "float8/tensorwise", null),
                ("layers_0.narrow", null, "auto_filter_small_kn: K <= 4096 and N <= 1024"),
                ("layers_0.odd", null, "K and N must be multiples of 16"),
                ("layers_1.wide", "float8/tensorwise", null),
                ("layers_1.narrow", null, "auto_filter_small_kn: K <= 4096 and N <= 1024"),
                ("layers_1.odd", null, "K and N must be multiples of 16"),
            ],
            report.Layers.Select(l => (l.Fqn, l.Recipe, l.SkippedBy)));
        Assert.Equal((2, 5), (report.Converted, report.Skipped));
        Assert.Equal("float8/tensorwise: i:dyn_ten_e4m3,w:dyn_ten_e4m3,go:dyn_ten_e5m2", report.Summary);
        Assert.All(report.Layers, l => Assert.Equal(l.Recipe is null ? "high precision" : new LinearEngine("x", Numbers.Tensorwise, DeviceCapability.Cpu, true, false, new MatmulCounter()).Backend, l.Backend));
        Assert.Empty(report.Notes);
    }

    [Fact]
    public void OneConverterServesTwoModelsAtOnceAndEachIsMeasuredAndCountedByItself()
    {
        using var scope = NewDisposeScope();
        var options = new QuantizeOptions(new QuantizeLinearOptions { FilterFqns = ["output"] }, new Dictionary<string, object> { ["tensorwise"] = new NoOptions() });
        var models = new[] { new TinyModel(CPU), new TinyModel(CPU) };
        var conversions = models.Select(m => Assert.IsAssignableFrom<IFloat8Conversion>(Converter.Convert(new ModelSlots(m), options, Cpu))).ToList();
        foreach (var conversion in conversions) conversion.Observer = new CastObserver();
        var layers = models.Select(m => new ModelSlots(m).Linears.First(l => l.Fqn == "layers_0.wide")).ToList();
        using (no_grad())
        {
            foreach (var layer in layers) layer.Linear.Weight.Parameter.fill_(1);
            layers[0].Slot.forward(ones(16, layers[0].Linear.Shape.K));
            conversions[1].AfterOptimizerStep();
            layers[0].Slot.forward(ones(16, layers[0].Linear.Shape.K));
            layers[1].Slot.forward(ones(16, layers[1].Linear.Shape.K));
        }

        Assert.Equal([2, 1], conversions.Select(c => c.Counter.Take()));
        Assert.All(conversions, c => Assert.Equal(["input", "weight"], c.Observer!.Results.Select(r => r.Operand)));
    }

    [Fact]
    public void AConvertedLayerKeepsItsParametersUnderTheirNames()
    {
        using var model = new TinyModel(META);
        var before = model.named_parameters().ToDictionary(p => p.name, p => p.parameter.Handle);
        Convert(model, new QuantizeLinearOptions());
        Assert.Equal(before, model.named_parameters().ToDictionary(p => p.name, p => p.parameter.Handle));
        var converted = new ModelSlots(model).Linears.Where(l => l.Linear is QuantizedLinear).Select(l => l.Fqn);
        Assert.Equal(["output", "layers_0.wide", "layers_0.narrow", "layers_1.wide", "layers_1.narrow"], converted);
        Assert.All(model.parameters(), p => Assert.Equal(TorchSharp.DeviceType.META, p.device_type));
    }

    [Fact]
    public void ConvertingNothingIsReportedAsZeroWithTheRules()
    {
        // Whether that is an error is for the caller to say: a run refuses it, a plan shows it.
        using var model = new TinyModel(META);
        var report = Convert(model, new QuantizeLinearOptions { FilterFqns = ["layers", "output"] });
        Assert.Equal((0, 7), (report.Converted, report.Skipped));
        Assert.Equal(6, report.Layers.Count(l => l.SkippedBy == "filter_fqns \"layers\""));
    }

    [Fact]
    public void ALinearThatIsItselfTheModelStandsInNoSlotAndStays()
    {
        // Upstream returns a new root; here a model is what owns slots. A run that converts nothing is refused.
        using var model = new Abstractions.Linear(64, 64, device: META);
        Assert.Empty(Convert(model, new QuantizeLinearOptions()).Layers);
    }

    [Fact]
    public void AMisspeltFilterLeavesTheModelAsItWas()
    {
        using var model = new TinyModel(META);
        Refused(ExitCode.Usage, () => Convert(model, new QuantizeLinearOptions { FilterFqns = ["outptu"] }));
        Assert.All(new ModelSlots(model).Linears, l => Assert.IsType<Abstractions.Linear>(l.Linear));
    }

    [Fact]
    public void AnUnknownRecipeIsAnErrorThatListsTheFamilysRecipes()
    {
        using var model = new TinyModel(META);
        var e = Refused(ExitCode.Usage, () => Convert(model, new QuantizeLinearOptions { RecipeName = "tensorwice" }));
        Assert.Contains("'tensorwice'", e.Message);
        Assert.Contains("known: tensorwise", e.Message);
    }

    [Fact]
    public void TwoConvertersOfOneLayerAreAnErrorThatNamesBoth()
    {
        using var model = new TinyModel(META);
        Convert(model, new QuantizeLinearOptions());
        var e = Refused(ExitCode.Plugin, () => Convert(model, new QuantizeLinearOptions()));
        Assert.Contains("'output'", e.Message);
    }

    [Fact]
    public void ADeviceThatIsTooOldIsRefusedUnlessEmulated()
    {
        using var model = new TinyModel(META);
        var old = Cpu with { Device = new DeviceCapability(true, 8, 0) };
        var e = Refused(ExitCode.Hardware, () => Convert(model, new QuantizeLinearOptions(), context: old));
        Assert.Contains("SM89", e.Message);
        Assert.Contains("SM80", e.Message);
        Assert.Contains("emulate", e.Message);
        var report = Convert(model, new QuantizeLinearOptions { Emulate = true }, context: old);
        Assert.Equal("emulated fp32", report.Layers.First(l => l.Recipe is not null).Backend);
    }

    [Fact]
    public void ADeviceWithTensorCoresUsesThem()
    {
        using var model = new TinyModel(META);
        var report = Convert(model, new QuantizeLinearOptions(), context: Cpu with { Device = new DeviceCapability(true, 9, 0) });
        Assert.StartsWith("_scaled_mm", report.Layers.First(l => l.Recipe is not null).Backend, StringComparison.Ordinal);
    }

    [Fact]
    public void FlagsWithoutEffectAreNoted()
    {
        using var one = new TinyModel(META);
        var both = new QuantizeLinearOptions { EnableFsdpFloat8AllGather = true, PrecomputeFloat8DynamicScaleForFsdp = true };
        Assert.Collection(Convert(one, both).Notes,
            n => Assert.Matches("enable_fsdp_float8_all_gather .*more than one rank", n),
            n => Assert.Matches("precompute_float8_dynamic_scale_for_fsdp .*more than one rank", n));

        var sharded = Cpu with { Dimensions = new ParallelDimensions(DataParallelShard: 8) };
        using var two = new TinyModel(META);
        Assert.Empty(Convert(two, both, context: sharded).Notes);
        using var three = new TinyModel(META);
        Assert.Contains("without enable_fsdp_float8_all_gather", Assert.Single(Convert(three, both with { EnableFsdpFloat8AllGather = false }, context: sharded).Notes));
    }

    [Fact]
    public void MxNeedsBlackwellOrEmulationAndItsEmulatedRecipeNeedsNothing()
    {
        var hopper = Cpu with { Device = new DeviceCapability(true, 9, 0) };
        foreach (var (recipe, emulate, backend) in new (IQuantizationRecipe, bool, string?)[]
            { (new CublasRecipe(), false, null), (new CublasRecipe(), true, "emulated fp32"), (new EmulatedRecipe(), false, "emulated fp32") })
        {
            using var model = new TinyModel(META);
            var converter = new QuantizeLinearConverter("mx", [(new RecipeMetadata { Family = "mx", Name = "it", IsDefault = true }, recipe)]);
            var options = new QuantizeOptions(new QuantizeLinearOptions { Emulate = emulate }, new Dictionary<string, object> { ["it"] = new MXFP8Options() });
            if (backend is null) Assert.Contains("needs SM100 or newer, found SM90; set emulate = true", Refused(ExitCode.Hardware, () => converter.Convert(new ModelSlots(model), options, hopper)).Message);
            else Assert.Equal(backend, converter.Convert(new ModelSlots(model), options, hopper).Report.Layers.First(l => l.Recipe is not null).Backend);
        }
    }

    [Fact]
    public void TwoDefaultsOfOneFamilyAreRefusedUntilOneIsChosen()
    {
        var converter = new QuantizeLinearConverter(
            "float8",
            [(new RecipeMetadata { Family = "float8", Name = "one", IsDefault = true }, new TensorwiseRecipe()), (new RecipeMetadata { Family = "float8", Name = "two", IsDefault = true }, new TensorwiseRecipe())]);
        Assert.Contains("one, two", Refused(ExitCode.Plugin, () => converter.Choose(null)).Message);
        Assert.Equal("two", converter.Choose("two").Metadata.Name);
    }
}
