using Titan.Abstractions;
using Titan.Quantization.Linear;
using Titan.Quantization.Scaling;
using Titan.Kernels.Casts;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests.Linear;

/// <summary>Gates a little below what the recipes reach on Gaussian data: close enough to catch an e5m2 where e4m3 belongs, or a wrong axis.</summary>
public class AccuracyTests
{
    [Theory]
    [InlineData(true, 128, 256, 192), InlineData(false, 128, 256, 192), InlineData(false, 64, 64, 64)]
    public void TensorwiseReachesItsPrecision(bool emulate, int m, int k, int n)
    {
        using var scope = NewDisposeScope();
        var (reference, actual) = Both(Numbers.Tensorwise, emulate, m, k, n);
        Between(27.5, 30, Numbers.Sqnr(reference.Y, actual.Y));
        Between(23.5, 26, Numbers.Sqnr(reference.GradX, actual.GradX));
        Between(23.5, 26, Numbers.Sqnr(reference.GradW, actual.GradW));
    }

    [Fact]
    public void EmulatedAndDecodingBackendsMultiplyTheSameBytes()
    {
        using var scope = NewDisposeScope();
        manual_seed(9);
        foreach (var type in new[] { ScalarType.BFloat16, ScalarType.Float32 })
        {
            Tensor x = randn(64, 48).to(type), w = randn(32, 48), g = randn(64, 32).to(type);
            var results = new[] { true, false }.Select(emulate =>
                Numbers.Run(new QuantizedLinear(Numbers.Layer(w), Numbers.Engine(Numbers.Tensorwise, fused: !emulate, emulate)), x, g)).ToArray();
            Assert.True(Numbers.Sqnr(results[0].Y, results[1].Y) > 48);
            Assert.True(Numbers.Sqnr(results[0].GradX, results[1].GradX) > 48);
            Assert.True(Numbers.Sqnr(results[0].GradW, results[1].GradW) > 48);
            foreach (var t in new[] { x, w, g })
            {
                var cast = (OperandCast.Scaled)E4M3.Tensorwise;
                Assert.Equal(Numbers.Bytes(QuantizedTensor.Cast(t, cast, 1, CastKernels.Plain).Data), Numbers.Bytes(QuantizedTensor.Cast(t, cast, 1, CastKernels.Fused).Data));
            }
        }
    }

    [Fact]
    public void NumbersOfAnyMagnitudeKeepTheirPrecision()
    {
        using var scope = NewDisposeScope();
        manual_seed(10);
        Tensor x = randn(64, 64), w = randn(64, 64);
        foreach (var factor in new[] { 1e-9, 1e-4, 1e4, 1e15 })
        {
            var layer = new QuantizedLinear(Numbers.Layer(w * factor), Numbers.Engine(Numbers.Tensorwise));
            var scaled = (x * factor).to(ScalarType.BFloat16);
            Between(27, 30, Numbers.Sqnr(scaled.to(ScalarType.Float32).mm((w * factor).t()), layer.call(scaled)));
        }
    }

    private static void Between(double least, double most, double sqnr) => Assert.True(sqnr >= least && sqnr <= most, $"{sqnr:f2} dB, expected {least} to {most}");

    private static ((Tensor Y, Tensor GradX, Tensor GradW) Reference, (Tensor Y, Tensor GradX, Tensor GradW) Actual) Both(LinearRecipe recipe, bool emulate, int m, int k, int n)
    {
        manual_seed(11);
        Tensor x = randn(m, k).to(ScalarType.BFloat16), w = randn(n, k) / Math.Sqrt(k), g = randn(m, n).to(ScalarType.BFloat16);
        Tensor x32 = x.to(ScalarType.Float32), g32 = g.to(ScalarType.Float32);
        var layer = new QuantizedLinear(Numbers.Layer(w), Numbers.Engine(recipe, emulate: emulate));
        return ((x32.mm(w.t()), g32.mm(w), g32.t().mm(x32)), Numbers.Run(layer, x, g));
    }
}
