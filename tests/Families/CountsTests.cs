using Titan.Abstractions;
using Titan.Models;
using Titan.Plugins.DeepSeekV3;
using Titan.Plugins.GptOss;
using Titan.Plugins.Llama4;
using Titan.Plugins.Qwen3;
using static TorchSharp.torch;

namespace Titan.Families.Tests;

/// <summary>Upstream's flavors have upstream's numbers: parameters, those that a token meets, FLOPs, linear layers.</summary>
public sealed class CountsTests
{
    private static readonly Dictionary<string, IModelFamily> Families = new()
    {
        ["llama4"] = new Llama4Family(), ["deepseek_v3"] = new DeepSeekV3Family(), ["qwen3"] = new Qwen3Family(), ["gpt_oss"] = new GptOssFamily(),
    };

    [Theory]
    [InlineData("llama4", "debugmodel", 15_017_216, 6_759_680, 46, 75_161_088, 112_909_824, 188_407_296)]
    [InlineData("llama4", "debugmodel_irope", 15_017_216, 6_759_680, 46, 75_161_088, 112_909_824, 188_407_296)]
    [InlineData("llama4", "17bx16e", 107_769_861_120, 17_172_894_720, 385, 102_870_251_520, 108_910_049_280, 120_989_644_800)]
    [InlineData("llama4", "17bx16e_irope", 107_769_861_120, 17_172_894_720, 385, 102_870_251_520, 108_910_049_280, 120_989_644_800)]
    [InlineData("llama4", "17bx128e", 400_711_848_960, 17_184_691_200, 361, 102_941_030_400, 108_980_828_160, 121_060_423_680)]
    [InlineData("deepseek_v3", "debugmodel", 33_014_016, 28_098_816, 48, 542_934_528, 920_421_888, 1_675_396_608)]
    [InlineData("deepseek_v3", "debugmodel_flex_attn", 33_014_016, 28_098_816, 48, 542_934_528, 920_421_888, 1_675_396_608)]
    [InlineData("deepseek_v3", "16B", 15_706_484_224, 2_661_150_208, 216, 16_407_303_168, 18_105_996_288, 21_503_382_528)]
    [InlineData("deepseek_v3", "236B", 235_741_434_880, 21_375_800_320, 540, 155_308_062_720, 185_507_051_520, 245_905_029_120)]
    [InlineData("deepseek_v3", "671B", 671_026_404_352, 37_552_282_624, 547, 250_455_926_784, 281_158_232_064, 342_562_842_624)]
    [InlineData("qwen3", "debugmodel", 31_987_968, 31_987_968, 57, 591_435_264, 994_088_448, 0)]
    [InlineData("qwen3", "0.6B", 596_049_920, 596_049_920, 197, 4_052_090_880, 5_461_377_024, 0)]
    [InlineData("qwen3", "1.7B", 1_720_574_976, 1_720_574_976, 197, 9_865_746_432, 11_275_032_576, 0)]
    [InlineData("qwen3", "4B", 4_022_468_096, 4_022_468_096, 253, 25_424_950_272, 29_048_828_928, 0)]
    [InlineData("qwen3", "8B", 8_190_735_360, 8_190_735_360, 253, 49_034_311_680, 52_658_190_336, 0)]
    [InlineData("qwen3", "14B", 14_768_307_200, 14_768_307_200, 281, 88_975_534_080, 94_008_698_880, 0)]
    [InlineData("qwen3", "32B", 32_762_123_264, 32_762_123_264, 449, 204_790_167_552, 217_675_069_440, 0)]
    [InlineData("qwen3", "debugmodel_moe", 315_758_848, 51_517_696, 41, 708_613_632, 1_111_266_816, 1_916_573_184)]
    [InlineData("qwen3", "30B-A3B", 30_532_122_624, 3_353_032_704, 241, 23_083_044_864, 27_914_883_072, 0)]
    [InlineData("qwen3", "235B-A22B", 235_093_634_560, 22_190_763_520, 471, 148_335_301_632, 167_260_001_280, 0)]
    [InlineData("gpt_oss", "debugmodel", 183_397_920, 147_912_224, 21, 981_255_360, 0, 0)]
    [InlineData("gpt_oss", "20b", 20_914_757_184, 4_187_440_704, 121, 24_065_762_688, 0, 0)]
    [InlineData("gpt_oss", "120b", 116_829_156_672, 5_711_982_912, 181, 34_420_975_488, 0, 0)]
    public void They_are_upstreams(string family, string name, long parameters, long active, int linears, long flopsAt2048, long flopsAt4096, long flopsAt8192)
    {
        using var scope = NewDisposeScope();
        var flavor = Families[family].Flavors[name];
        Assert.Equal((parameters, active), (flavor.Counts.Parameters, flavor.Counts.ActiveParameters));
        using var model = flavor.Build(new ModelContext(2048, META, ScalarType.Float32));
        Assert.Equal(parameters, ModelParameters.Of(model).Sum(p => p.Parameter.numel()));
        // A tied head is no linear layer of ours, and converters cannot convert it.
        var isTied = !model.named_parameters().Any(p => p.name == "output.weight");
        Assert.Equal(linears, new ModelSlots(model).Linears.Count() + (isTied ? 1 : 0));
        // Upstream leaves a tied head's FLOPs out, although it multiplies: mended later there, too.
        var head = isTied ? 6 * flavor.Counts.Vocabulary * flavor.Counts.Dimension : 0;
        foreach (var (length, flops) in new[] { (2048, flopsAt2048), (4096, flopsAt4096), (8192, flopsAt8192) })
            if (flops > 0) Assert.Equal(flops + head, flavor.Counts.FlopsPerToken(length));
    }

    [Fact]
    public void Every_flavor_builds_as_its_numbers_say_and_fills_every_parameter()
    {
        foreach (var (family, flavors) in Families)
            foreach (var (name, flavor) in flavors.Flavors)
            {
                using var scope = NewDisposeScope();
                using var model = flavor.Build(new ModelContext(64, META, ScalarType.Float32));
                Assert.Equal(flavor.Counts.Parameters, ModelParameters.Of(model).Sum(p => p.Parameter.numel()));
                var format = flavor.HuggingFace!();
                // Every tensor that a checkpoint holds has a place, or is said to have none.
                foreach (var (fqn, shape) in ModelParameters.Of(model).Select(p => (p.Fqn, p.Layout.GlobalShape)).Concat(ModelParameters.Buffers(model).Where(b => b.Slot.IsPersistent).Select(b => (b.Fqn, b.Slot.Shape))))
                    if (!format.NotStored.Contains(fqn)) Assert.NotEmpty(format.Tensors.PiecesOf(fqn, ShardLayout.Whole(shape)));
                Assert.NotEmpty(format.Config.ModelType);
            }
    }
}
