using Titan.Abstractions;
using Titan.Plugins.Float8Tensorwise;
using Titan.Quantization.Conversion;
using Titan.Quantization.Linear;
using Titan.Quantization.Matmuls;
using Titan.Quantization.Measurement;
using Titan.Quantization.Tests.Conversion;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests.Measurement;

public sealed class MeasuredFilterTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("titan-measured").FullName;
    private readonly Measurer measurer = new();
    private readonly List<string> told = [];

    public void Dispose() => Directory.Delete(folder, true);

    [Fact]
    public void Layers_that_gain_are_converted_and_the_others_are_skipped_with_the_ratio()
    {
        using var model = new TinyModel();
        measurer.Gains[new LinearShape(8192, 2048)] = 1.25;
        measurer.Gains[new LinearShape(4096, 1024)] = 0.87;
        var report = Convert(model, "auto_filter_measured");
        Assert.Equal(
            [
                ("output", "float8/tensorwise", null, 1.25),
                ("layers_0.wide", "float8/tensorwise", null, 1.25),
                ("layers_0.narrow", null, "auto_filter_measured: 0.87x", 0.87),
                ("layers_0.odd", null, "K and N must be multiples of 16", null),
                ("layers_1.wide", "float8/tensorwise", null, 1.25),
                ("layers_1.narrow", null, "auto_filter_measured: 0.87x", 0.87),
                ("layers_1.odd", null, "K and N must be multiples of 16", null),
            ],
            report.Layers.Select(l => (l.Fqn, l.Recipe, l.SkippedBy, l.MeasuredSpeedUp is { } gain ? Math.Round(gain, 6) : (double?)null)));
        Assert.Empty(report.Notes);
        var text = ReportText.Render(report);
        Assert.Contains("measured 1.25x", text);
        Assert.Contains("auto_filter_measured: 0.87x", text);
    }

    [Fact]
    public void Each_shape_is_measured_once_with_the_tokens_of_the_run()
    {
        using var model = new TinyModel();
        Convert(model, "auto_filter_measured");
        Assert.Equal([(96L, new LinearShape(8192, 2048)), (96L, new LinearShape(4096, 1024))], measurer.Asked);
    }

    [Fact]
    public void A_layer_that_is_excluded_by_name_is_not_measured()
    {
        using var model = new TinyModel();
        var report = Convert(model, "auto_filter_measured", "narrow");
        Assert.Equal([(96L, new LinearShape(8192, 2048))], measurer.Asked);
        Assert.Equal("filter_fqns \"narrow\"", report.Layers.Single(l => l.Fqn == "layers_0.narrow").SkippedBy);
    }

    [Fact]
    public void A_misspelt_entry_is_refused_before_anything_is_measured()
    {
        using var model = new TinyModel();
        Assert.Contains("matches no layer", Assert.Throws<TitanException>(() => Convert(model, "auto_filter_measured", "narow")).Message);
        Assert.Empty(measurer.Asked);
    }

    [Fact]
    public void A_second_run_reads_what_the_first_measured()
    {
        using (var first = new TinyModel()) Convert(first, "auto_filter_measured");
        var measured = measurer.Asked.Count;
        using var second = new TinyModel();
        var report = Convert(second, "auto_filter_measured");
        Assert.Equal(measured, measurer.Asked.Count);
        Assert.Equal(measured, told.Count);
        Assert.Equal(2, report.Layers[0].MeasuredSpeedUp!.Value, 6);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("{\"Key\":\"another\",\"HighPrecisionSeconds\":1,\"RecipeSeconds\":1}")]
    [InlineData("null")]
    public void A_damaged_file_is_measured_again(string content)
    {
        using (var first = new TinyModel()) Convert(first, "auto_filter_measured");
        var measured = measurer.Asked.Count;
        foreach (var file in Directory.GetFiles(folder)) File.WriteAllText(file, content);
        using var second = new TinyModel();
        Convert(second, "auto_filter_measured");
        Assert.Equal(2 * measured, measurer.Asked.Count);
    }

    [Fact]
    public void Another_device_is_measured_anew()
    {
        using (var first = new TinyModel()) Convert(first, "auto_filter_measured");
        var measured = measurer.Asked.Count;
        using var second = new TinyModel();
        Convert(second, new CachedMeasurer(measurer, folder, () => "another device", told.Add), Context, "auto_filter_measured");
        Assert.Equal(2 * measured, measurer.Asked.Count);
    }

    [Fact]
    public void A_plan_measures_nothing_and_says_so()
    {
        using var model = new TinyModel(META);
        var report = Convert(model, new CachedMeasurer(measurer, folder, () => "this device", told.Add), Context with { IsPlan = true }, "auto_filter_measured");
        Assert.Empty(measurer.Asked);
        Assert.Equal(5, report.Converted);
        Assert.Contains("2 of 2 shapes (8192 x 2048, 4096 x 1024) have not been measured", Assert.Single(report.Notes));
    }

    [Fact]
    public void A_plan_uses_what_a_run_has_measured()
    {
        measurer.Gains[new LinearShape(4096, 1024)] = 0.5;
        using (var run = new TinyModel()) Convert(run, "auto_filter_measured");
        using var model = new TinyModel(META);
        var report = Convert(model, "auto_filter_measured");
        Assert.Equal("auto_filter_measured: 0.50x", report.Layers.Single(l => l.Fqn == "layers_0.narrow").SkippedBy);
        Assert.Empty(report.Notes);
    }

    [Fact]
    public void Without_a_number_of_tokens_nothing_can_be_measured()
    {
        using var model = new TinyModel();
        var e = Assert.Throws<TitanException>(() => Convert(model, measurer, Context with { Tokens = 0 }, "auto_filter_measured"));
        Assert.Equal(ExitCode.Usage, e.Code);
        Assert.Contains("auto_filter_measured", e.Message);
    }

    [Fact]
    public void The_key_tells_recipes_apart_that_only_round_their_scales_differently()
    {
        var counter = new MatmulCounter();
        var plain = Engine(E4M3.Tensorwise);
        Assert.NotEqual(Key(plain, 96), Key(Engine(E4M3.TensorwisePowerOfTwo), 96));
        Assert.NotEqual(Key(plain, 96), Key(plain, 192));
        Assert.Equal(Key(plain, 96), Key(Engine(E4M3.Tensorwise), 96));

        LinearEngine Engine(OperandCast cast) => new("f/r", new LinearRecipe(new(cast, cast), new(cast, cast), new(cast, cast)), DeviceCapability.Cpu, true, false, counter);
        static string Key(LinearEngine engine, long tokens) =>
            MeasurementKey.Of(new MeasuredLayer(tokens, new LinearShape(64, 32), ScalarType.BFloat16, ScalarType.Float32, engine), "cpu");
    }

    [Fact]
    public void A_real_measurement_runs_both_layers_and_leaves_the_random_numbers_of_the_run_alone()
    {
        var clock = new FakeClock();
        var engine = new LinearEngine("f/r", new TensorwiseRecipe().Describe(new NoOptions()), DeviceCapability.Cpu, true, false, new MatmulCounter());
        manual_seed(3);
        using var expected = rand(4);
        manual_seed(3);
        using var layer = new TimedLayer(32, new LinearShape(64, 48), ScalarType.BFloat16, ScalarType.Float32, between: true);
        var times = new InterleavedTimer(clock, 1, 3).Time(layer.HighPrecision(engine), layer.By(engine));
        Assert.Equal([3, 3], times.Select(t => t.Repetitions));
        using var next = rand(4);
        Assert.Equal(expected.data<float>().ToArray(), next.data<float>().ToArray());
    }

    private static ConversionContext Context => new(DeviceCapability.Cpu, Fused: true, new ParallelDimensions()) { Tokens = 96 };

    private ConversionReport Convert(nn.Module model, params string[] filter) => Convert(model, new CachedMeasurer(measurer, folder, () => "this device", told.Add), Context, filter);

    private static ConversionReport Convert(nn.Module model, ILayerMeasurer measurer, ConversionContext context, params string[] filter)
    {
        var converter = new QuantizeLinearConverter(
            "float8", [(new RecipeMetadata { Family = "float8", Name = "tensorwise", IsDefault = true, Status = ExportStatus.Stable }, new TensorwiseRecipe())], measurer);
        return converter.Convert(
            new ModelSlots(model), new QuantizeOptions(new QuantizeLinearOptions { FilterFqns = filter }, new Dictionary<string, object> { ["tensorwise"] = new NoOptions() }), context).Report;
    }

    /// <summary>Knows the gains beforehand: 2x where none is set.</summary>
    private sealed class Measurer : ILayerMeasurer
    {
        public Dictionary<LinearShape, double> Gains { get; } = [];

        public List<(long Tokens, LinearShape Shape)> Asked { get; } = [];

        public LayerMeasurement? Known(MeasuredLayer layer) => null;

        public LayerMeasurement Measure(MeasuredLayer layer)
        {
            Asked.Add((layer.Tokens, layer.Shape));
            return new LayerMeasurement(Gains.GetValueOrDefault(layer.Shape, 2), 1);
        }
    }
}
