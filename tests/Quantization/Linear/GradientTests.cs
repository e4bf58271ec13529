using Titan.Abstractions;
using Titan.Quantization.Linear;
using Titan.Quantization.Matmuls;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests.Linear;

public class GradientTests
{
    /// <summary>The layer as autograd sees it when casts are straight-through: written without the engine, from the recipe's definition.</summary>
    private static (Tensor Y, Tensor GradX, Tensor GradW, Tensor GradB) Oracle(Tensor x, Tensor w, Tensor b, Tensor g)
    {
        Tensor lx = x.detach().requires_grad_(), lw = w.detach().requires_grad_(), lb = b.detach().requires_grad_();
        var y = nn.functional.linear(lx + (Rounded(x, Float8Format.E4M3) - x), lw + (Rounded(w, Float8Format.E4M3) - w));
        y.backward([Rounded(g, Float8Format.E5M2)]);
        var z = y.detach() + lb;
        z.backward([g]);
        return (z.detach(), lx.grad!, lw.grad!, lb.grad!);

        Tensor Rounded(Tensor t, Float8Format format)
        {
            var scale = (float)(format.Max / Math.Max((double)t.abs().max().item<float>(), 1e-12));
            return (t * scale).clamp(-format.Max, format.Max).to(format.Type).to(ScalarType.Float32) / scale;
        }
    }

    [Theory]
    [InlineData(false, false), InlineData(true, false), InlineData(false, true), InlineData(true, true)]
    public void GradientsAreThoseOfADifferentiableEmulation(bool fused, bool emulate)
    {
        using var scope = NewDisposeScope();
        manual_seed(5);
        Tensor x = randn(3, 16, 32), w = randn(48, 32) / Math.Sqrt(32), b = randn(48), g = randn(3, 16, 48);
        var expected = Oracle(x, w, b, g);
        var layer = new QuantizedLinear(Numbers.Layer(w, b), Numbers.Engine(Numbers.Tensorwise, fused, emulate));
        var (y, gradX, gradW) = Numbers.Run(layer, x, g);
        var bound = emulate ? 100 : 48;
        Assert.True(Numbers.Sqnr(expected.Y, y) > bound);
        Assert.True(Numbers.Sqnr(expected.GradX, gradX) > bound);
        Assert.True(Numbers.Sqnr(expected.GradW, gradW) > bound);
        Assert.True(Numbers.Sqnr(expected.GradB, layer.Bias!.Parameter.grad!) > 100);
        Assert.Equal((ScalarType.Float32, x.dim()), (y.dtype, y.dim()));
    }

    [Fact]
    public void AGradientThatIsNotContiguousGivesTheSameResult()
    {
        using var scope = NewDisposeScope();
        manual_seed(6);
        Tensor x = randn(16, 32).to(ScalarType.BFloat16), w = randn(48, 32), g = randn(48, 16).to(ScalarType.BFloat16).t();
        var layer = new QuantizedLinear(Numbers.Layer(w), Numbers.Engine(Numbers.Tensorwise));
        var one = Numbers.Run(layer, x, g);
        var other = Numbers.Run(layer, x.t().contiguous().t(), g.contiguous());
        Assert.Equal(0, one.GradX.ne(other.GradX).sum().item<long>());
        Assert.Equal(0, one.GradW.ne(other.GradW).sum().item<long>());
    }

    [Fact]
    public void OnlyGradientsThatAreAskedForAreComputed()
    {
        using var scope = NewDisposeScope();
        var counter = new MatmulCounter();
        var layer = new QuantizedLinear(Numbers.Layer(randn(32, 16)), Numbers.Engine(Numbers.Tensorwise, counter: counter));
        using (no_grad()) layer.call(randn(16, 16)).Dispose();
        Assert.Equal(1, counter.Take());
        layer.call(randn(16, 16)).sum().backward();
        Assert.Equal(2, counter.Take());
        layer.call(randn(16, 16).requires_grad_()).sum().backward();
        Assert.Equal(3, counter.Take());
        layer.Weight.Parameter.requires_grad = false;
        layer.Weight.Parameter.grad = null;
        layer.call(randn(16, 16).requires_grad_()).sum().backward();
        Assert.Equal(2, counter.Take());
        Assert.True(layer.Weight.Parameter.grad is null);
    }

    [Fact]
    public void AMatmulInHighPrecisionIsNotCounted()
    {
        using var scope = NewDisposeScope();
        manual_seed(7);
        var counter = new MatmulCounter();
        Tensor x = randn(64, 64).to(ScalarType.BFloat16), w = randn(64, 64), g = randn(64, 64).to(ScalarType.BFloat16);
        var layer = new QuantizedLinear(Numbers.Layer(w), Numbers.Engine(Numbers.RowwiseWithHighPrecisionGradWeight, counter: counter));
        var (_, _, gradW) = Numbers.Run(layer, x, g);
        Assert.Equal(2, counter.Take());
        Assert.Equal(0, gradW.ne(g.t().mm(x).to(ScalarType.Float32)).sum().item<long>());
    }

    [Fact]
    public void EmptyBatchesGiveEmptyOutputsAndZeroGradients()
    {
        using var scope = NewDisposeScope();
        foreach (var emulate in new[] { true, false })
        {
            var layer = new QuantizedLinear(Numbers.Layer(randn(32, 16)), Numbers.Engine(Numbers.Tensorwise, emulate: emulate));
            var (y, gradX, gradW) = Numbers.Run(layer, zeros(2, 0, 16), zeros(2, 0, 32));
            Assert.Equal([2, 0, 32], y.shape);
            Assert.Equal([2, 0, 16], gradX.shape);
            Assert.Equal(0f, gradW.abs().sum().item<float>());
        }
    }

    [Fact]
    public void ACustomQuantizerSeesTheContractedDimensionLast()
    {
        using var scope = NewDisposeScope();
        manual_seed(8);
        var seen = new List<string>();
        var custom = new OperandCast.Custom(new Recorder(seen));
        var recipe = new LinearRecipe(new(custom, custom), new(custom, custom), new(custom, custom));
        Tensor x = randn(4, 8), w = randn(6, 8), g = randn(4, 6);
        var (y, gradX, gradW) = Numbers.Run(new QuantizedLinear(Numbers.Layer(w), Numbers.Engine(recipe)), x, g);
        // X[M,K], W[N,K] for K; G[M,N], Wᵀ[K,N] for N; Gᵀ[N,M], Xᵀ[K,M] for M.
        Assert.Equal(["4x8", "6x8", "4x6", "8x6", "6x4", "8x4"], seen);
        Assert.True(y.allclose(x.mm(w.t()), atol: 1e-5) && gradX.allclose(g.mm(w), atol: 1e-5) && gradW.allclose(g.t().mm(x), atol: 1e-5));
    }

    private sealed class Recorder(List<string> seen) : IQuantizer
    {
        public string Name => "recorder";

        public Tensor QuantizeDequantize(Tensor operand)
        {
            seen.Add($"{operand.shape[0]}x{operand.shape[1]}");
            return operand.clone();
        }
    }
}
