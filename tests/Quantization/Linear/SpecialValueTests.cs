using Titan.Abstractions;
using Titan.Quantization.Linear;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests.Linear;

public class SpecialValueTests
{
    public static TheoryData<string, bool, bool> Everywhere()
    {
        var data = new TheoryData<string, bool, bool>();
        foreach (var where in new[] { "x", "w", "g" })
            foreach (var emulate in new[] { true, false })
                foreach (var infinite in new[] { true, false })
                    data.Add(where, emulate, infinite);
        return data;
    }

    [Theory]
    [MemberData(nameof(Everywhere))]
    public void ANonFiniteValueReachesEverythingThatItIsMultipliedInto(string where, bool emulate, bool infinite)
    {
        using var scope = NewDisposeScope();
        var bad = infinite ? float.NegativeInfinity : float.NaN;
        Tensor x = randn(16, 32).to(ScalarType.BFloat16), w = randn(48, 32), g = randn(16, 48).to(ScalarType.BFloat16);
        (where switch { "x" => x, "w" => w, _ => g })[2, 3] = bad;
        var (y, gradX, gradW) = Numbers.Run(new QuantizedLinear(Numbers.Layer(w), Numbers.Engine(Numbers.Tensorwise, emulate: emulate)), x, g);
        Assert.Equal(where is "x" or "w", y.isnan().all().item<bool>());
        Assert.Equal(where is "g" or "w", gradX.isnan().all().item<bool>());
        Assert.Equal(where is "g" or "x", gradW.isnan().all().item<bool>());
        Assert.Equal(where == "g", y.isfinite().all().item<bool>());
    }

    [Theory]
    [InlineData(true), InlineData(false)]
    public void ZerosGiveExactZeros(bool emulate)
    {
        using var scope = NewDisposeScope();
        Tensor w = randn(48, 32), x = zeros(16, 32).to(ScalarType.BFloat16);
        var (y, gradX, gradW) = Numbers.Run(new QuantizedLinear(Numbers.Layer(w), Numbers.Engine(Numbers.Tensorwise, emulate: emulate)), x, zeros(16, 48).to(ScalarType.BFloat16));
        foreach (var t in new[] { y, gradX, gradW }) Assert.Equal(0f, t.abs().max().to(ScalarType.Float32).item<float>());
    }

    [Fact]
    public void CastsThatTheEngineCannotExecuteAreRefusedWhenItIsBuilt()
    {
        void Refused(OperandCast cast, string because)
        {
            var e = Assert.Throws<TitanException>(() => Numbers.Engine(new LinearRecipe(new(cast, cast), new(cast, cast), new(cast, cast))));
            Assert.Equal(ExitCode.Plugin, e.Code);
            Assert.Contains(because, e.Message);
            Assert.Contains("float8/test", e.Message);
        }

        Refused(new OperandCast.Scaled(Float8Format.E4M3, new ScaleGranularity.Tile(128, 128), ScaleRounding.Floor), "Floor");
        Refused(new OperandCast.Scaled(Float8Format.E4M3, new ScaleGranularity.Tensorwise(), ScaleRounding.Even), "Even");
        // Tensor cores take blocks on both sides or on none; the CPU takes any.
        OperandCast block = E4M3.Block(32, ScaleRounding.Floor);
        var mixed = new LinearRecipe(new(block, E4M3.Rowwise), new(block, block), new(block, block));
        Numbers.Engine(mixed);
        var hardware = Assert.Throws<TitanException>(() => new LinearEngine("float8/test", mixed, new DeviceCapability(true, 10, 0), true, false, new Titan.Quantization.Matmuls.MatmulCounter()));
        Assert.Equal(ExitCode.Hardware, hardware.Code);
        Assert.Contains("dyn_blk32_e4m3 by dyn_axs_e4m3", hardware.Message);
        Refused(new OperandCast.Scaled(Float8Format.E8M0, new ScaleGranularity.Tensorwise(), ScaleRounding.None), "e8m0");
    }
}
