using Titan.Abstractions;
using Titan.Kernels.Casts;
using Titan.Quantization.Linear;
using Titan.Quantization.Scaling;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests.Linear;

public class GoldenTests
{
    public static TheoryData<string, bool> Cases()
    {
        var data = new TheoryData<string, bool>();
        foreach (var name in Golden.Tensorwise.Cases)
            foreach (var fused in new[] { true, false })
                data.Add(name, fused);
        return data;
    }

    [Fact]
    public void TheVectorsCoverOrdinaryAndSpecialTensors() =>
        Assert.Equal(["inf", "nan", "normal16x16x32", "normal16x16x32", "normal64x48x96", "tiny", "zero"], Golden.Tensorwise.Cases.Select(c => c.Split('.')[0]).Order());

    [Theory]
    [MemberData(nameof(Cases))]
    public void BytesAndScalesAreThoseOfTheReference(string name, bool fused)
    {
        using var scope = NewDisposeScope();
        var kernels = fused ? CastKernels.Fused : CastKernels.Plain;
        foreach (var (tensorName, cast, format) in new[] { ("x", "cast0", Float8Format.E4M3), ("g", "cast1", Float8Format.E5M2) })
        {
            var tensorwise = new OperandCast.Scaled(format, new ScaleGranularity.Tensorwise(), ScaleRounding.None);
            var quantized = QuantizedTensor.Cast(Golden.Tensorwise[$"{name}.{tensorName}"], tensorwise, 1, kernels);
            float expectedScale = Golden.Tensorwise[$"{name}.{cast}.scale"].item<float>(), scale = quantized.Scale.item<float>();
            Assert.True(expectedScale.Equals(scale) && float.IsNegative(expectedScale) == float.IsNegative(scale) || float.IsNaN(expectedScale) && float.IsNaN(scale),
                $"{tensorName}: scale {scale:g9}, expected {expectedScale:g9}");
            byte[] expected = Golden.Tensorwise[$"{name}.{cast}.data"].data<byte>().ToArray(), bytes = Numbers.Bytes(quantized.Data);
            Assert.Equal(expected.Select(b => Canonical(b, format)), bytes.Select(b => Canonical(b, format)));
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void OutputAndGradientsAreThoseOfTheReference(string name, bool fused)
    {
        using var scope = NewDisposeScope();
        Tensor x = Golden.Tensorwise[$"{name}.x"], w = Golden.Tensorwise[$"{name}.w"], g = Golden.Tensorwise[$"{name}.g"];
        foreach (var emulate in new[] { true, false })
        {
            var layer = new QuantizedLinear(Numbers.Layer(w), Numbers.Engine(Numbers.Tensorwise, fused, emulate));
            var (y, gradX, gradW) = Numbers.Run(layer, x, g);
            // Summation order differs; the decoding backend also rounds the unscaled sum to bf16.
            var bound = emulate ? 50 : 45;
            Same("y", y, bound);
            Same("grad_x", gradX, bound);
            Same("grad_w", gradW, bound);
        }

        void Same(string what, Tensor actual, double bound)
        {
            var expected = Golden.Tensorwise[$"{name}.{what}"];
            Assert.Equal(expected.dtype, actual.dtype);
            Assert.Equal(expected.shape, actual.shape);
            Assert.Equal(0, expected.isnan().ne(actual.isnan()).sum().item<long>());
            var sqnr = Numbers.Sqnr(expected.nan_to_num(), actual.nan_to_num());
            Assert.True(sqnr >= bound, $"{name} {what}: {sqnr:f1} dB");
        }
    }

    /// <summary>All NaN codes as one; the sign of a NaN says nothing.</summary>
    private static byte Canonical(byte code, Float8Format format) => (code & 0x7f) > (format == Float8Format.E4M3 ? 0x7e : 0x7c) ? (byte)0x7f : code;
}
