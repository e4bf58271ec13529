using Titan.Kernels.Cuda;
using static TorchSharp.torch;

namespace Titan.Kernels.Tests.Cuda;

/// <summary>
/// The fused operations of a model against ATen in double. Bounds are relative to the largest expected magnitude: 1e-5 in fp32, where sums run in another order;
/// 2^-8 in bf16, one rounding of the result (unit roundoff 2^-9) with room for the order of sums.
/// </summary>
[Collection(NativeCollection.Name)]
public sealed class ModelOpTests(NativeBuild build)
{
    private static readonly ScalarType[] Types = [ScalarType.BFloat16, ScalarType.Float32];

    public static TheoryData<string> Launchers => NativeCollection.Launchers;

    [TheoryWithTools("g++")]
    [MemberData(nameof(Launchers))]
    public void RmsNorm_and_its_gradients_are_within_the_bound_of_ATens(string launcher)
    {
        var ops = new CudaModelOps(build.Launcher(launcher));
        foreach (var type in Types)
            foreach (var shape in new long[][] { [1, 1], [3, 7], [2, 5, 64], [37, 520], [9, 2051], [6, 8192], [2, 8201] })
            {
                using var scope = NewDisposeScope();
                manual_seed(shape[^1]);
                // Some rows so small that epsilon is what they are divided by.
                Tensor x = (randn(shape) * (shape[0] == 3 ? 1e-3 : 1)).to(type), w = (randn(shape[^1]) * 0.5 + 1).to(type), g = randn(shape).to(type);
                Tensor wideX = Wide(x).requires_grad_(), wideW = Wide(w).requires_grad_();
                var expected = wideX * (wideX.square().mean([-1], keepdim: true) + 1e-5).rsqrt() * wideW;
                expected.backward([Wide(g)]);
                var (y, rstd) = ops.RmsNorm(x, w, 1e-5);
                var (dx, dw) = ops.RmsNormBackward(g, x, w, rstd);
                Close(expected, y, type, "y");
                Close(wideX.grad!, dx, type, "dx");
                Close(wideW.grad!, dw, type, "dw");
            }
    }

    [TheoryWithTools("g++")]
    [MemberData(nameof(Launchers))]
    public void Rotary_equals_the_plain_chain_to_the_bit_and_its_gradient_turns_back(string launcher)
    {
        var ops = new CudaModelOps(build.Launcher(launcher));
        foreach (var type in Types)
            foreach (var shape in new long[][] { [1, 1, 1, 2], [2, 5, 3, 6], [2, 9, 4, 64], [1, 3, 2, 128], [1, 2, 1, 522] })
            {
                using var scope = NewDisposeScope();
                manual_seed(7);
                var x = randn(shape).to(type);
                var angles = randn(shape[1] + 4, shape[3] / 2) * 10;
                Tensor cos = angles.cos(), sin = angles.sin();
                Samples.AssertSameFloats(Rotated(x, cos, sin), ops.Rotary(x, cos, sin), $"forward {type}");
                Samples.AssertSameFloats(Rotated(x, cos, -sin), ops.Rotary(x, cos, sin, backward: true), $"backward {type}");
            }
    }

    [TheoryWithTools("g++")]
    [MemberData(nameof(Launchers))]
    public void SwiGlu_and_its_gradients_are_within_the_bound_of_ATens(string launcher)
    {
        var ops = new CudaModelOps(build.Launcher(launcher));
        foreach (var type in Types)
            foreach (var shape in new long[][] { [1], [33], [5, 64], [7, 1030] })
            {
                using var scope = NewDisposeScope();
                manual_seed(shape[0]);
                Tensor a = (randn(shape) * 4).to(type), b = randn(shape).to(type), g = randn(shape).to(type);
                Tensor wideA = Wide(a).requires_grad_(), wideB = Wide(b).requires_grad_();
                var expected = nn.functional.silu(wideA) * wideB;
                expected.backward([Wide(g)]);
                var (da, db) = ops.SwiGluBackward(g, a, b);
                Close(expected, ops.SwiGlu(a, b), type, "y");
                Close(wideA.grad!, da, type, "da");
                Close(wideB.grad!, db, type, "db");
            }
    }

    [FactWithTools("g++")]
    public void SwiGlu_of_very_large_gates_is_zero_or_the_product_and_not_NaN()
    {
        using var scope = NewDisposeScope();
        var ops = new CudaModelOps(build.Launcher("forward"));
        Tensor a = tensor(new[] { -1000f, 1000f, 0f }), b = tensor(new[] { 2f, 2f, 2f }), g = ones(3);
        Assert.Equal([0f, 2000f, 0f], ops.SwiGlu(a, b).abs().data<float>().ToArray());
        var (da, db) = ops.SwiGluBackward(g, a, b);
        Assert.Equal([0f, 2f, 1f], da.abs().data<float>().ToArray());
        Assert.Equal([0f, 1000f, 0f], db.abs().data<float>().ToArray());
    }

    [TheoryWithTools("g++")]
    [MemberData(nameof(Launchers))]
    public void Cross_entropy_and_its_gradient_in_place_are_within_the_bound_of_ATens_and_ignored_rows_are_zero(string launcher)
    {
        var ops = new CudaModelOps(build.Launcher(launcher));
        foreach (var type in Types)
            foreach (var (rows, classes) in new (long, long)[] { (1, 1), (3, 7), (9, 512), (17, 2053) })
            {
                using var scope = NewDisposeScope();
                manual_seed(classes);
                var logits = (randn(rows, classes) * 5).to(type);
                var labels = randint(0, classes, [rows], dtype: ScalarType.Int64);
                if (rows > 2) labels[1] = -100;
                var wide = Wide(logits).requires_grad_();
                var expected = nn.functional.cross_entropy(wide, labels, null, -100, nn.Reduction.None);
                (expected.sum() * 0.25).backward();
                var loss = ops.CrossEntropyInPlace(logits, labels, 0.25f);
                Assert.Equal(ScalarType.Float32, loss.dtype);
                Close(expected, loss, ScalarType.Float32, "loss");
                Close(wide.grad!, logits, type, "gradient");
                if (rows > 2) Assert.Equal((0f, 0f), (loss[1].item<float>(), logits[1].abs().max().to(ScalarType.Float32).item<float>()));
            }
    }

    [FactWithTools("g++")]
    public void Cross_entropy_of_infinite_and_masked_logits_is_ATens_and_a_wrong_label_gives_NaN()
    {
        using var scope = NewDisposeScope();
        var ops = new CudaModelOps(build.Launcher("random"));
        const float inf = float.PositiveInfinity;
        var logits = tensor(new[] { -inf, 1, 2, 3, 1, -inf, -inf, 2, 1e30f, -1e30f, 0, 1, 1, 2, 3, 4, 1, float.NaN, 3, 4 }).reshape(5, 4);
        var labels = tensor(new long[] { 3, 0, 0, 7, 1 });
        var expected = (logits - logits.logsumexp(1, true)).exp();
        var loss = ops.CrossEntropyInPlace(logits, labels).data<float>().ToArray();
        Assert.Equal(0.407606f, loss[0], 1e-5f);
        Assert.Equal(1.313262f, loss[1], 1e-5f);
        Assert.Equal(0f, loss[2]);
        Assert.True(float.IsNaN(loss[3]) && float.IsNaN(loss[4]));
        expected[0, 3] -= 1;
        expected[1, 0] -= 1;
        expected[2, 0] -= 1;
        Close(expected.narrow(0, 0, 3), logits.narrow(0, 0, 3), ScalarType.Float32, "gradient");
        Assert.Equal(8, logits.narrow(0, 3, 2).isnan().sum().item<long>());
    }

    [FactWithTools("g++")]
    public void Operands_that_do_not_fit_are_refused_by_name()
    {
        using var scope = NewDisposeScope();
        var ops = new CudaModelOps(build.Launcher("forward"));
        Tensor x = zeros(4, 8), table = zeros(4, 4);
        Assert.Contains("w does not fit", Assert.Throws<ArgumentException>(() => ops.RmsNorm(x, zeros(9), 1e-5)).Message);
        Assert.Contains("not forward's", Assert.Throws<ArgumentException>(() => ops.RmsNormBackward(x, x, zeros(8), zeros(3))).Message);
        Assert.Contains("[B, S, H, D]", Assert.Throws<ArgumentException>(() => ops.Rotary(x, table, table)).Message);
        Assert.Contains("table", Assert.Throws<ArgumentException>(() => ops.Rotary(zeros(1, 5, 1, 8), table, table)).Message);
        Assert.Contains("swiglu", Assert.Throws<ArgumentException>(() => ops.SwiGlu(x, zeros(4, 9))).Message);
        Assert.Contains("labels", Assert.Throws<ArgumentException>(() => ops.CrossEntropyInPlace(x, zeros(4))).Message);
        Assert.Contains("expected fp32 or bf16", Assert.Throws<ArgumentException>(() => ops.SwiGlu(zeros(4, dtype: ScalarType.Float64), zeros(4, dtype: ScalarType.Float64))).Message);
    }

    private static Tensor Rotated(Tensor x, Tensor cos, Tensor sin)
    {
        var s = x.shape;
        var pairs = x.to(ScalarType.Float32).reshape(s[0], s[1], s[2], s[3] / 2, 2);
        Tensor even = pairs.select(-1, 0), odd = pairs.select(-1, 1);
        Tensor c = cos.narrow(0, 0, s[1]).unsqueeze(1), n = sin.narrow(0, 0, s[1]).unsqueeze(1);
        return stack([even * c - odd * n, even * n + odd * c], -1).reshape(s).to(x.dtype);
    }

    private static Tensor Wide(Tensor x) => x.detach().to(ScalarType.Float64).clone();

    private static void Close(Tensor expected, Tensor actual, ScalarType type, string what)
    {
        Assert.Equal(expected.shape, actual.shape);
        var bound = (type == ScalarType.Float32 ? 1e-5 : 1.0 / 256) * Math.Max(expected.abs().max().to(ScalarType.Float64).item<double>(), 1e-3);
        var off = (actual.to(ScalarType.Float64) - expected.to(ScalarType.Float64)).abs().max().item<double>();
        Assert.True(off <= bound, $"{what} {type} [{string.Join(", ", expected.shape)}]: off by {off:g3}, bound {bound:g3}");
    }
}
