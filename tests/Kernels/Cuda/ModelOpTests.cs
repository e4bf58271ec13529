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
            foreach (var shape in new long[][] { [1, 1], [3, 7], [2, 5, 64], [37, 520], [9, 2051], [35, 1024], [5, 4096], [6, 8192], [2, 8201], [290, 8], [35, 8200] })
            {
                using var scope = NewDisposeScope();
                manual_seed(shape[^1]);
                // Some rows so small that epsilon is what they are divided by.
                Tensor x = (randn(shape) * (shape[0] == 3 ? 1e-3 : 1)).to(type), w = (randn(shape[^1]) * 0.5 + 1).to(type), g = randn(shape).to(type);
                Tensor wideX = Wide(x).requires_grad_(), wideW = Wide(w).requires_grad_();
                var expected = wideX * (wideX.square().mean([-1], keepdim: true) + 1e-5).rsqrt() * wideW;
                expected.backward([Wide(g)]);
                var (y, rstd, none, amax) = ops.RmsNorm(x, null, w, 1e-5, wantsAmax: true);
                var (dx, dw, amaxOfGradient) = ops.RmsNormBackward(g, x, w, rstd, wantsAmax: true);
                Assert.Null(none);
                IsAmax(amax, y);
                IsAmax(amaxOfGradient, dx);
                Close(expected, y, type, "y");
                Close(wideX.grad!, dx, type, "dx");
                Close(wideW.grad!, dw, type, "dw");
            }
    }

    [TheoryWithTools("g++")]
    [MemberData(nameof(Launchers))]
    public void RmsNorm_of_a_sum_and_its_gradients_equal_an_addition_before_and_one_after_to_the_bit(string launcher)
    {
        var ops = new CudaModelOps(build.Launcher(launcher));
        foreach (var type in Types)
            foreach (var shape in new long[][] { [3, 7], [37, 520], [2, 8201] })
            {
                using var scope = NewDisposeScope();
                manual_seed(shape[^1]);
                Tensor x = randn(shape).to(type), residual = randn(shape).to(type), w = (randn(shape[^1]) * 0.5 + 1).to(type), g = randn(shape).to(type), past = randn(shape).to(type);
                var (plain, rstd, _, _) = ops.RmsNorm(x + residual, null, w, 1e-5);
                var (y, rstdOfSum, sum, amax) = ops.RmsNorm(x, residual, w, 1e-5, wantsAmax: true);
                Samples.AssertSameFloats(x + residual, sum!, "sum");
                Samples.AssertSameFloats(plain, y, "y");
                Samples.AssertSameFloats(rstd, rstdOfSum, "rstd");
                IsAmax(amax, y);
                var (alone, weight, _) = ops.RmsNormBackward(g, sum!, w, rstd);
                var (dx, dw, amaxOfGradient) = ops.RmsNormBackward(g, sum!, w, rstd, past, wantsAmax: true);
                Samples.AssertSameFloats(alone + past, dx, "dx");
                Samples.AssertSameFloats(weight, dw, "dw");
                IsAmax(amaxOfGradient, dx);
            }
    }

    [FactWithTools("g++")]
    public void The_gradient_of_the_weight_does_not_depend_on_how_many_blocks_fill_the_device()
    {
        using var scope = NewDisposeScope();
        manual_seed(1);
        Tensor x = randn(300, 200), w = randn(200), g = randn(300, 200);
        // Three blocks fill one, five the other.
        CudaModelOps few = new(build.Launcher("sanitized")), more = new(build.Launcher("random"));
        var rstd = few.RmsNorm(x, null, w, 1e-5).Rstd;
        Samples.AssertSameFloats(few.RmsNormBackward(g, x, w, rstd).Dw, more.RmsNormBackward(g, x, w, rstd).Dw);
    }

    [TheoryWithTools("g++")]
    [MemberData(nameof(Launchers))]
    public void Rotary_equals_the_plain_chain_to_the_bit_and_its_gradient_turns_back(string launcher)
    {
        var ops = new CudaModelOps(build.Launcher(launcher));
        foreach (var type in Types)
            foreach (var shape in new long[][] { [1, 1, 1, 2], [2, 5, 3, 6], [2, 9, 4, 64], [1, 3, 2, 128], [1, 2, 1, 522], [1, 3, 37, 16] })
            {
                using var scope = NewDisposeScope();
                manual_seed(7);
                var x = randn(shape).to(type);
                var angles = randn(shape[1] + 4, shape[3] / 2) * 10;
                Tensor cos = angles.cos(), sin = angles.sin();
                Samples.AssertSameFloats(Rotated(x, cos, sin), ops.Rotary(x, cos, sin).Y, $"forward {type}");
                var (gradient, amax) = ops.Rotary(x, cos, sin, backward: true, wantsAmax: true);
                Samples.AssertSameFloats(Rotated(x, cos, -sin), gradient, $"backward {type}");
                IsAmax(amax, gradient);
            }
    }

    [FactWithTools("g++")]
    public void Rotary_reads_vectors_where_they_lie_and_lays_out_its_result_as_asked()
    {
        using var scope = NewDisposeScope();
        var ops = new CudaModelOps(build.Launcher("random"));
        foreach (var type in Types)
            foreach (var width in new long[] { 6, 32 })
            {
                var angles = randn(9, width / 2) * 10;
                Tensor cos = angles.cos(), sin = angles.sin(), x = randn(2, 9, 5, width).to(type), expected = Rotated(x, cos, sin), wide = cat([x, x, x], 3);
                Samples.AssertSameFloats(expected, ops.Rotary(x.transpose(1, 2).contiguous().transpose(1, 2), cos, sin).Y, "heads first");
                // Also from where a 16-byte access could not read.
                for (var shift = 0; shift < 5; shift++)
                    Samples.AssertSameFloats(Rotated(wide.narrow(3, shift, width), cos, sin), ops.Rotary(wide.narrow(3, shift, width), cos, sin).Y, $"a part of wider heads, from {shift}");
                Samples.AssertSameFloats(expected, ops.Rotary(x.transpose(0, 3).contiguous().transpose(0, 3), cos, sin).Y, "D apart");
                var (y, _) = ops.Rotary(x, cos, sin, headsFirst: true);
                Assert.True(y.transpose(1, 2).is_contiguous());
                Samples.AssertSameFloats(expected, y, "result with heads first");
            }
    }

    [TheoryWithTools("g++")]
    [MemberData(nameof(Launchers))]
    public void SwiGlu_and_its_gradients_are_within_the_bound_of_ATens(string launcher)
    {
        var ops = new CudaModelOps(build.Launcher(launcher));
        foreach (var type in Types)
            foreach (var shape in new long[][] { [1], [33], [5, 64], [7, 1030], [3, 8192] })
            {
                using var scope = NewDisposeScope();
                manual_seed(shape[0]);
                Tensor a = (randn(shape) * 4).to(type), b = randn(shape).to(type), g = randn(shape).to(type);
                Tensor wideA = Wide(a).requires_grad_(), wideB = Wide(b).requires_grad_();
                var expected = nn.functional.silu(wideA) * wideB;
                expected.backward([Wide(g)]);
                var (y, amax) = ops.SwiGlu(a, b, wantsAmax: true);
                var (da, db, amaxOfA, amaxOfB) = ops.SwiGluBackward(g, a, b, wantsAmax: true);
                IsAmax(amax, y);
                IsAmax(amaxOfA, da);
                IsAmax(amaxOfB, db);
                Close(expected, y, type, "y");
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
        Assert.Equal([0f, 2000f, 0f], ops.SwiGlu(a, b).Y.abs().data<float>().ToArray());
        var (da, db, _, _) = ops.SwiGluBackward(g, a, b);
        Assert.Equal([0f, 2f, 1f], da.abs().data<float>().ToArray());
        Assert.Equal([0f, 1000f, 0f], db.abs().data<float>().ToArray());
    }

    [TheoryWithTools("g++")]
    [MemberData(nameof(Launchers))]
    public void Cross_entropy_and_its_gradient_are_within_the_bound_of_ATens_in_place_too_and_ignored_rows_are_zero(string launcher)
    {
        var ops = new CudaModelOps(build.Launcher(launcher));
        foreach (var type in Types)
            foreach (var (rows, classes) in new (long, long)[] { (1, 1), (3, 7), (9, 512), (17, 2053), (13, 2056), (2, 40960) })
            {
                using var scope = NewDisposeScope();
                manual_seed(classes);
                var logits = (randn(rows, classes) * 5).to(type);
                var labels = randint(0, classes, [rows], dtype: ScalarType.Int64);
                if (rows > 2) labels[1] = -100;
                var wide = Wide(logits).requires_grad_();
                var expected = nn.functional.cross_entropy(wide, labels, null, -100, nn.Reduction.None);
                expected.sum().backward();
                var plain = empty_like(logits);
                var (sum, none) = ops.CrossEntropy(logits, labels, 1, plain);
                Assert.Equal((ScalarType.Float32, 0L), (sum.dtype, sum.dim()));
                Close(expected.sum(), sum, ScalarType.Float32, "loss");
                Close(wide.grad!, plain, type, "gradient");
                Assert.Null(none);
                if (rows > 2) Assert.Equal(0f, plain[1].abs().max().to(ScalarType.Float32).item<float>());
                // Without a gradient, then with it in place of the logits.
                Samples.AssertSameFloats(sum, ops.CrossEntropy(logits, labels, 1, null, wantsAmax: true).Sum);
                var (again, amax) = ops.CrossEntropy(logits, labels, 0.3f, logits, wantsAmax: true);
                Samples.AssertSameFloats(sum, again);
                Samples.AssertSameFloats(plain * tensor(0.3f), logits, "gradient times a factor");
                IsAmax(amax, logits);
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
        var loss = Enumerable.Range(0, 5).Select(r => ops.CrossEntropy(logits[r].unsqueeze(0), labels[r].reshape(1), 1, null).Sum.item<float>()).ToArray();
        ops.CrossEntropy(logits, labels, 1, logits);
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

    [TheoryWithTools("g++")]
    [MemberData(nameof(Launchers))]
    public void A_gradient_is_scaled_as_by_ATen_with_its_magnitudes_and_stays_as_it_is_times_one(string launcher)
    {
        var ops = new CudaModelOps(build.Launcher(launcher));
        foreach (var type in Types)
            foreach (var factor in new[] { 1f, -0.3f, 1e-30f, float.NaN })
            {
                using var scope = NewDisposeScope();
                var x = randn(33, 71).to(type);
                Tensor expected = x.mul(tensor(factor)), amax = cat([x.to(ScalarType.Float32).abs().max().reshape(1), rand(7) * 1e-3]);
                ops.ScaleUnlessOne(x, tensor(factor), amax);
                Samples.AssertSameFloats(expected, x, $"{type} {factor}");
                IsAmax(amax, x);
            }
    }

    [FactWithTools("g++")]
    public void Operands_that_do_not_fit_are_refused_by_name()
    {
        using var scope = NewDisposeScope();
        var ops = new CudaModelOps(build.Launcher("forward"));
        Tensor x = zeros(4, 8), table = zeros(4, 4);
        Assert.Contains("w does not fit", Assert.Throws<ArgumentException>(() => ops.RmsNorm(x, null, zeros(9), 1e-5)).Message);
        Assert.Contains("not forward's", Assert.Throws<ArgumentException>(() => ops.RmsNormBackward(x, x, zeros(8), zeros(3))).Message);
        Assert.Contains("[B, S, H, D]", Assert.Throws<ArgumentException>(() => ops.Rotary(x, table, table)).Message);
        Assert.Contains("table", Assert.Throws<ArgumentException>(() => ops.Rotary(zeros(1, 5, 1, 8), table, table)).Message);
        Assert.Contains("swiglu", Assert.Throws<ArgumentException>(() => ops.SwiGlu(x, zeros(4, 9))).Message);
        Assert.Contains("labels", Assert.Throws<ArgumentException>(() => ops.CrossEntropy(x, zeros(4), 1, null)).Message);
        Assert.Contains("two operands differ", Assert.Throws<ArgumentException>(() => ops.RmsNorm(x, zeros(4, 9), zeros(8), 1e-5)).Message);
        Assert.Contains("one fp32 factor", Assert.Throws<ArgumentException>(() => ops.ScaleUnlessOne(x, zeros(2), null)).Message);
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

    private static void IsAmax(Tensor? amax, Tensor of)
    {
        Assert.NotNull(amax);
        Samples.AssertSameFloats(of.to(ScalarType.Float32).abs().max().reshape(1), amax.max().reshape(1), "amax");
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
