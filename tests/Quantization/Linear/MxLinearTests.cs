using Titan.Abstractions;
using Titan.Quantization.Linear;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests.Linear;

/// <summary>The microscaling layer at the size of the reference's test, 1024 tokens from 1024 to 2048 features.</summary>
public class MxLinearTests
{
    private const int M = 1024, K = 1024, N = 2048;

    public static TheoryData<ScaleRounding, bool, bool> Cases()
    {
        var data = new TheoryData<ScaleRounding, bool, bool> { { ScaleRounding.Ceil, false, false }, { ScaleRounding.Even, false, false } };
        foreach (var mode in new[] { ScaleRounding.Floor, ScaleRounding.RoundUp })
            foreach (var bias in new[] { true, false })
                foreach (var highPrecision in new[] { true, false })
                    data.Add(mode, bias, highPrecision);
        return data;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Output_and_gradients_keep_the_precision_of_their_blocks(ScaleRounding mode, bool bias, bool highPrecisionGradWeight)
    {
        using var scope = NewDisposeScope();
        manual_seed(91);
        Tensor x = randn(M, K).to(ScalarType.BFloat16), w = randn(N, K) / 32, b = randn(N), g = randn(M, N).to(ScalarType.BFloat16);
        Tensor x32 = x.to(ScalarType.Float32), g32 = g.to(ScalarType.Float32);
        Tensor y = nn.functional.linear(x32, w, bias ? b : zeros(N)), gradX = g32.mm(w), gradW = g32.t().mm(x32);
        OperandCast block = E4M3.Block(32, mode);
        MatmulRecipe both = new(block, block);
        var recipe = new LinearRecipe(both, both, highPrecisionGradWeight ? MatmulRecipe.HighPrecision : both);
        // FLOOR cuts off the largest values of a block.
        var least = mode == ScaleRounding.Floor ? 27 : mode == ScaleRounding.Even ? 27.5 : 28;
        foreach (var emulate in new[] { true, false })
        {
            var layer = new QuantizedLinear(Numbers.Layer(w, bias ? b : null), Numbers.Engine(recipe, emulate: emulate));
            var actual = Numbers.Run(layer, x, g);
            AtLeast(least, y, actual.Y, "output");
            AtLeast(least, gradX, actual.GradX, "input gradient");
            AtLeast(highPrecisionGradWeight ? 45 : least, gradW, actual.GradW, "weight gradient");
            if (bias) AtLeast(40, g32.sum(dim: 0L), layer.Bias!.grad!, "bias gradient");
        }

        static void AtLeast(double least, Tensor expected, Tensor actual, string what)
        {
            var sqnr = Numbers.Sqnr(expected, actual);
            Assert.True(sqnr >= least, $"{what}: {sqnr:f2} dB, expected {least}");
        }
    }
}
