using Titan.Abstractions;
using Titan.Quantization.Linear;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests.Linear;

/// <summary>The microscaling layer at the size of the reference's test, 1024 tokens from 1024 to 2048 features.</summary>
public class MxLinearTests(MxLinearTests.Reference reference) : IClassFixture<MxLinearTests.Reference>
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
        OperandCast block = E4M3.Block(32, mode);
        MatmulRecipe both = new(block, block);
        var recipe = new LinearRecipe(both, both, highPrecisionGradWeight ? MatmulRecipe.HighPrecision : both);
        // FLOOR cuts off the largest values of a block.
        var least = mode == ScaleRounding.Floor ? 27 : mode == ScaleRounding.Even ? 27.5 : 28;
        foreach (var emulate in new[] { true, false })
        {
            var layer = new QuantizedLinear(Numbers.Layer(reference.W, bias ? reference.B : null), Numbers.Engine(recipe, emulate: emulate));
            var actual = Numbers.Run(layer, reference.X, reference.G);
            AtLeast(least, bias ? reference.Y + reference.B : reference.Y, actual.Y, "output");
            AtLeast(least, reference.GradX, actual.GradX, "input gradient");
            AtLeast(highPrecisionGradWeight ? 45 : least, reference.GradW, actual.GradW, "weight gradient");
            if (bias) AtLeast(40, reference.G.to(ScalarType.Float32).sum(dim: 0L), layer.Bias!.Parameter.grad!, "bias gradient");
        }

        static void AtLeast(double least, Tensor expected, Tensor actual, string what)
        {
            var sqnr = Numbers.Sqnr(expected, actual);
            Assert.True(sqnr >= least, $"{what}: {sqnr:f2} dB, expected {least}");
        }
    }

    /// <summary>Operands, and what they give in fp32: computed once for all cases.</summary>
    public sealed class Reference : IDisposable
    {
        public Reference()
        {
            using var scope = NewDisposeScope();
            manual_seed(91);
            (X, W, B, G) = (randn(M, K).to(ScalarType.BFloat16), randn(N, K) / 32, randn(N), randn(M, N).to(ScalarType.BFloat16));
            Tensor x = X.to(ScalarType.Float32), g = G.to(ScalarType.Float32);
            (Y, GradX, GradW) = (x.mm(W.t()), g.mm(W), g.t().mm(x));
            scope.Detach([X, W, B, G, Y, GradX, GradW]);
        }

        public Tensor X { get; }

        public Tensor W { get; }

        public Tensor B { get; }

        public Tensor G { get; }

        public Tensor Y { get; }

        public Tensor GradX { get; }

        public Tensor GradW { get; }

        public void Dispose()
        {
            foreach (var tensor in new[] { X, W, B, G, Y, GradX, GradW }) tensor.Dispose();
        }
    }
}
