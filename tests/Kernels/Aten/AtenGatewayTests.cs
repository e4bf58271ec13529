using Titan.Abstractions;
using Titan.Kernels.Aten;
using static TorchSharp.torch;

namespace Titan.Kernels.Tests.Aten;

public class AtenGatewayTests
{
    [Theory]
    [InlineData(true), InlineData(false)]
    public void FusedAdamWFollowsItsFormula(bool decoupled)
    {
        using var scope = NewDisposeScope();
        manual_seed(1);
        const double lr = 1e-2, beta1 = 0.9, beta2 = 0.95, decay = 0.1, epsilon = 1e-8;
        long[][] shapes = [[3, 5], [7], [64, 33]];
        var parameters = shapes.Select(s => randn(s)).ToArray();
        var expected = parameters.Select(p => p.to(ScalarType.Float64).clone()).ToArray();
        var averages = shapes.Select(s => zeros(s)).ToArray();
        var squares = shapes.Select(s => zeros(s)).ToArray();
        var m = shapes.Select(s => zeros(s, dtype: ScalarType.Float64)).ToArray();
        var v = shapes.Select(s => zeros(s, dtype: ScalarType.Float64)).ToArray();
        var steps = shapes.Select(_ => zeros([])).ToArray();
        for (var t = 1; t <= 3; t++)
        {
            var gradients = shapes.Select(s => randn(s)).ToArray();
            foreach (var step in steps) step.add_(1);
            AtenGateway.FusedAdamW(parameters, gradients, averages, squares, steps, lr, beta1, beta2, decay, epsilon, decoupled);
            for (var i = 0; i < shapes.Length; i++)
            {
                var g = gradients[i].to(ScalarType.Float64);
                if (decoupled) expected[i] *= 1 - lr * decay;
                else g += expected[i] * decay;
                m[i] = m[i] * beta1 + g * (1 - beta1);
                v[i] = v[i] * beta2 + g * g * (1 - beta2);
                expected[i] -= lr * (m[i] / (1 - Math.Pow(beta1, t))) / ((v[i] / (1 - Math.Pow(beta2, t))).sqrt() + epsilon);
                Assert.True((parameters[i] - expected[i]).abs().max().item<double>() < 1e-6);
            }
        }
    }

    [Fact]
    public void FusedAdamWRefusesListsThatDoNotFit()
    {
        using var scope = NewDisposeScope();
        Tensor[] one = [zeros(4)], step = [zeros([])];
        void Step(Tensor[] p, Tensor[] g) => AtenGateway.FusedAdamW(p, g, one, one, step, 0.1, 0.9, 0.95, 0, 1e-8);
        Assert.Contains("as many of each", Assert.Throws<ArgumentException>(() => Step(one, [])).Message);
        Assert.Contains("parameter 0", Assert.Throws<ArgumentException>(() => Step(one, [zeros(5)])).Message);
        Assert.Contains("parameter 0", Assert.Throws<ArgumentException>(() => Step(one, [zeros(4, dtype: ScalarType.Float64)])).Message);
        Assert.Contains("not contiguous", Assert.Throws<ArgumentException>(() => Step(one, [zeros(8).slice(0, 0, 8, 2)])).Message);
        Assert.Contains("floating", Assert.Throws<ArgumentException>(() => Step([zeros(4, dtype: ScalarType.Int64)], one)).Message);
    }

    [Theory]
    [InlineData(1, true), InlineData(2, true), InlineData(4, true), InlineData(2, false)]
    public void AttentionWithGroupedHeadsAndItsGradientsEqualRepeatedHeads(int kv, bool causal)
    {
        using var scope = NewDisposeScope();
        manual_seed(2);
        const int heads = 4, length = 9, width = 8;
        Tensor Leaf(params long[] shape) => randn(shape).requires_grad_();
        Tensor q = Leaf(2, heads, length, width), k = Leaf(2, kv, length, width), v = Leaf(2, kv, length, width), g = randn(2, heads, length, width);
        var y = AtenGateway.ScaledDotProductAttention(q, k, v, causal);
        y.backward([g]);
        var actual = new[] { y, q.grad!.clone(), k.grad!.clone(), v.grad!.clone() };
        foreach (var leaf in new[] { q, k, v }) leaf.grad = null;

        Tensor Repeat(Tensor x) => x.unsqueeze(2).expand(2, kv, heads / kv, length, width).reshape(2, heads, length, width);
        var scores = q.matmul(Repeat(k).transpose(2, 3)) / Math.Sqrt(width);
        if (causal) scores = scores.masked_fill(ones(length, length, dtype: ScalarType.Bool).triu(1), double.NegativeInfinity);
        var expected = nn.functional.softmax(scores, -1).matmul(Repeat(v));
        expected.backward([g]);
        var wanted = new[] { expected, q.grad!, k.grad!, v.grad! };
        for (var i = 0; i < 4; i++) Assert.True((actual[i] - wanted[i]).abs().max().item<float>() < 1e-5, $"result {i}");
    }

    [Fact]
    public void RmsNormAndItsGradientsEqualTheFormula()
    {
        using var scope = NewDisposeScope();
        manual_seed(3);
        Tensor x = randn(3, 4, 16).requires_grad_(), w = randn(16).requires_grad_(), g = randn(3, 4, 16);
        var y = AtenGateway.RmsNorm(x, w, 1e-5);
        y.backward([g]);
        var (dx, dw) = (x.grad!.clone(), w.grad!.clone());
        (x.grad, w.grad) = (null, null);
        var expected = x * (x.square().mean([-1], keepdim: true) + 1e-5).rsqrt() * w;
        expected.backward([g]);
        Assert.True(y.allclose(expected, atol: 1e-5));
        Assert.True(dx.allclose(x.grad!, atol: 1e-5) && dw.allclose(w.grad!, atol: 1e-5));
    }

    [Theory]
    [InlineData(ScalarType.BFloat16), InlineData(ScalarType.Float32)]
    public void ScaledMmEqualsTheDequantisedProduct(ScalarType type)
    {
        using var scope = NewDisposeScope();
        manual_seed(4);
        var a = randn(32, 48).to(Float8Format.E5M2.Type);
        var b = randn(64, 48).to(Float8Format.E4M3.Type).t();
        var y = AtenGateway.ScaledMm(a, b, tensor(0.5f), tensor(0.25f), type);
        Assert.Equal(type, y.dtype);
        var expected = a.to(ScalarType.Float32).mm(b.to(ScalarType.Float32)) * 0.125;
        Assert.True((y.to(ScalarType.Float32) - expected).abs().max().item<float>() < (type == ScalarType.Float32 ? 1e-4 : 0.03));
    }

    [Fact]
    public void WhatWouldFailInNativeCodeIsRefusedByName()
    {
        using var scope = NewDisposeScope();
        Tensor half = zeros(16, 16).to(Float8Format.E5M2.Type), full = zeros(16, 16).to(Float8Format.E4M3.Type), one = tensor(1f);
        Assert.Contains("scaled_mm", Assert.Throws<ArgumentException>(() => AtenGateway.ScaledMm(half, half.t(), one, one, ScalarType.BFloat16)).Message);
        Assert.Contains("column-major", Assert.Throws<ArgumentException>(() => AtenGateway.ScaledMm(full, full, one, one, ScalarType.BFloat16)).Message);
        Assert.Contains("scales", Assert.Throws<ArgumentException>(() => AtenGateway.ScaledMm(full, full.t(), ones(3), one, ScalarType.BFloat16)).Message);
        Assert.Contains("rms_norm", Assert.Throws<ArgumentException>(() => AtenGateway.RmsNorm(zeros(2, 8), zeros(9), 1e-5)).Message);
        Assert.Contains("attention", Assert.Throws<ArgumentException>(
            () => AtenGateway.ScaledDotProductAttention(zeros(1, 3, 4, 8), zeros(1, 2, 4, 8), zeros(1, 2, 4, 8), true)).Message);
        Assert.Contains("element sizes", Assert.Throws<ArgumentException>(() => AtenGateway.ViewDtype(zeros(4), ScalarType.Byte)).Message);
    }

    [Fact]
    public void AViewUnderAnotherDtypeSharesMemory()
    {
        using var scope = NewDisposeScope();
        var x = tensor(1f);
        var bits = AtenGateway.ViewDtype(x, ScalarType.Int32);
        Assert.Equal(0x3f800000, bits.item<int>());
        bits.fill_(0x40000000);
        Assert.Equal(2f, x.item<float>());
        Assert.Equal(TensorMemory.Address(x), TensorMemory.Address(bits));
    }

    [Fact]
    public void CallsOfTheGatewayLeaveNoTensorBehind()
    {
        using var scope = NewDisposeScope();
        Tensor x = randn(4, 8), w = ones(8);
        AtenGateway.RmsNorm(x, w, 1e-5).Dispose();
        var before = Tensor.TotalCount;
        for (var i = 0; i < 1000; i++) AtenGateway.RmsNorm(x, w, 1e-5).Dispose();
        // Less is possible: a collection may finish what earlier tests left.
        Assert.True(Tensor.TotalCount <= before, $"{Tensor.TotalCount - before} tensors more");
    }

    [Fact]
    public void TuningTheAllocatorTwiceIsHarmless()
    {
        Allocator.Tune();
        Allocator.Tune();
        using var x = zeros(1 << 20);
        Assert.Equal(0f, x.sum().item<float>());
    }
}
