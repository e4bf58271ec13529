using System.Runtime.Intrinsics;
using CsCheck;
using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.Fused;
using Titan.Kernels.ModelOps;
using Titan.Kernels.Simd;
using static TorchSharp.torch;

namespace Titan.Kernels.Tests.Fused;

/// <summary>
/// Each fused kernel, at each width of SIMD, against ATen's operations in double precision: in fp32 to 1e-5 of the largest value, in bf16 to one rounding (2^-8).
/// </summary>
public class FusedKernelTests
{
    public static TheoryData<string, bool> Paths()
    {
        var data = new TheoryData<string, bool>();
        foreach (var path in Enum.GetNames<SimdPath>())
        {
            data.Add(path, true);
            data.Add(path, false);
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Paths))]
    public void RmsNorm_and_its_gradients_are_those_of_the_definition(string name, bool wide)
    {
        var path = Enum.Parse<SimdPath>(name);
        Gen.Select(Gen.Int[1, 9], Gen.Int[1, 150], Gen.Int[0, 10000]).Sample((rows, width, seed) =>
        {
            using var scope = NewDisposeScope();
            Tensor x = Sample(seed, wide, rows, width) * 3, w = Sample(seed + 1, wide, width) + 1, g = Sample(seed + 2, wide, rows, width);
            Tensor dx = Double(x).requires_grad_(), dw = Double(w).requires_grad_();
            var expected = dx * (dx.square().mean([1], keepdim: true) + 1e-5).rsqrt() * dw;
            expected.backward([Double(g)]);
            var (y, inverse, none, _) = wide ? RmsNormKernel.Forward<Float32Element>(x, null, w, 1e-5, path, false) : RmsNormKernel.Forward<BFloat16Element>(x, null, w, 1e-5, path, false);
            var (gx, gw, _) = wide ? RmsNormKernel.Backward<Float32Element>(g, x, w, inverse, null, path, false) : RmsNormKernel.Backward<BFloat16Element>(g, x, w, inverse, null, path, false);
            Assert.Null(none);
            Close(expected, y, wide);
            // The gradient of x is a difference, of a row with one column that of two equal numbers.
            Close(dx.grad!, gx, wide, (Double(g) * Double(w) * inverse.reshape(-1, 1)).abs().max().item<double>());
            Close(dw.grad!, gw, wide);
        }, iter: 60, threads: 1);
    }

    [Theory]
    [MemberData(nameof(Paths))]
    public void SwiGlu_and_its_gradients_are_those_of_the_definition(string name, bool wide)
    {
        var path = Enum.Parse<SimdPath>(name);
        Gen.Select(Gen.Int[1, 300], Gen.Int[0, 10000]).Sample((count, seed) =>
        {
            using var scope = NewDisposeScope();
            Tensor a = Sample(seed, wide, count) * 4, b = Sample(seed + 1, wide, count), g = Sample(seed + 2, wide, count);
            Tensor da = Double(a).requires_grad_(), db = Double(b).requires_grad_();
            var expected = da * da.sigmoid() * db;
            expected.backward([Double(g)]);
            var y = (wide ? SwiGluKernel.Forward<Float32Element>(a, b, path, false) : SwiGluKernel.Forward<BFloat16Element>(a, b, path, false)).Y;
            var (ga, gb, _, _) = wide ? SwiGluKernel.Backward<Float32Element>(g, a, b, path, false) : SwiGluKernel.Backward<BFloat16Element>(g, a, b, path, false);
            Close(expected, y, wide);
            Close(da.grad!, ga, wide);
            Close(db.grad!, gb, wide);
        }, iter: 60, threads: 1);
    }

    [Theory]
    [MemberData(nameof(Paths))]
    public void Rotation_is_that_of_complex_numbers_and_back_again(string name, bool wide)
    {
        var path = Enum.Parse<SimdPath>(name);
        foreach (var (batch, length, heads, width) in new[] { (2, 5, 3, 64), (1, 1, 1, 2), (3, 7, 2, 38), (1, 4, 2, 128) })
        {
            using var scope = NewDisposeScope();
            var x = Sample(41, wide, batch, length, heads, width);
            var angles = rand(length + 2, width / 2) * 6;
            var table = new RotaryTable(angles.cos(), angles.sin());
            // Upstream's form: pairs as complex numbers times e^(i angle).
            var turns = polar(ones_like(angles), angles).narrow(0, 0, length).reshape(1, length, 1, width / 2);
            var expected = (view_as_complex_copy(x.to(ScalarType.Float32).reshape(batch, length, heads, width / 2, 2)) * turns).view_as_real().reshape(x.shape);
            var y = (wide ? RotaryKernel.Rotate<Float32Element>(x, table, 1, false, path, false) : RotaryKernel.Rotate<BFloat16Element>(x, table, 1, false, path, false)).Y;
            Close(expected.to(ScalarType.Float64), y, wide);
            var back = (wide ? RotaryKernel.Rotate<Float32Element>(y, table, -1, false, path, false) : RotaryKernel.Rotate<BFloat16Element>(y, table, -1, false, path, false)).Y;
            // The first rounding's error is that of the pair's larger number.
            Assert.True((Double(x) - Double(back)).abs().max().item<double>() <= x.abs().max().to(ScalarType.Float64).item<double>() * (wide ? 1e-6 : Math.Pow(2, -7)));
        }

        static Tensor view_as_complex_copy(Tensor pairs) => pairs.contiguous().view_as_complex();
    }

    [Theory]
    [MemberData(nameof(Paths))]
    public void Cross_entropy_and_its_gradient_are_those_of_the_definition(string name, bool wide)
    {
        var path = Enum.Parse<SimdPath>(name);
        Gen.Select(Gen.Int[1, 20], Gen.Int[2, 200], Gen.Int[0, 10000]).Sample((rows, width, seed) =>
        {
            using var scope = NewDisposeScope();
            var logits = Sample(seed, wide, rows, width) * 5;
            var labels = randint(0, width, rows, dtype: ScalarType.Int64);
            labels[0] = seed % 2 == 0 ? -100 : width - 1;
            var x = Double(logits).requires_grad_();
            var expected = nn.functional.cross_entropy(x, labels, null, -100, nn.Reduction.Sum);
            expected.backward();
            var gradient = empty_like(logits);
            var (loss, _) = Sum(gradient);
            Assert.Equal(expected.item<double>(), loss.item<float>(), 1e-5 * Math.Max(1, Math.Abs(expected.item<double>())));
            Close(x.grad!, gradient, wide);
            Assert.Equal(loss.item<float>(), Sum(null).Sum.item<float>());

            (Tensor Sum, Tensor? Amax) Sum(Tensor? target) => wide
                ? CrossEntropyKernel.Sum<Float32Element>(logits, labels, 1, target, path, false)
                : CrossEntropyKernel.Sum<BFloat16Element>(logits, labels, 1, target, path, false);
        }, iter: 60, threads: 1);
    }

    [Fact]
    public unsafe void Sixteen_numbers_are_rounded_to_bfloat16_as_one_by_one_also_those_that_are_none()
    {
        // Every bf16 number and NaN, with low bits that round down, up, and at the tie.
        uint[] lows = [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff];
        var one = stackalloc ushort[16];
        var together = stackalloc ushort[16];
        foreach (var low in lows)
        {
            for (var high = 0u; high < 0x10000; high += 16)
            {
                var values = Enumerable.Range(0, 16).Select(i => BitConverter.UInt32BitsToSingle(((high + (uint)i) << 16) | low)).ToArray();
                BFloat16Element.Store16((byte*)together, 0, Vector256.Create(values), Vector256.Create(values, 8));
                for (var i = 0; i < 16; i++)
                {
                    BFloat16Element.Store((byte*)one, i, values[i]);
                    Assert.Equal(one[i], together[i]);
                }
            }
        }
    }

    [Fact]
    public void Gradients_flow_through_all_of_them_as_through_plain_operations()
    {
        using var scope = NewDisposeScope();
        manual_seed(5);
        var angles = rand(8, 16);
        var table = new RotaryTable(angles.cos(), angles.sin());
        Tensor x = randn(2, 8, 2, 32), w = randn(32), labels = randint(0, 64, 16, dtype: ScalarType.Int64);
        var (fusedX, fusedW) = Run((h, v) => FusedCrossEntropy.Sum(FusedSwiGlu.Multiply(FusedRotary.Rotate(FusedRmsNorm.Normalize(h, v, 1e-5), table), h).transpose(1, 2).transpose(1, 2).reshape(16, 64), labels));
        var (plainX, plainW) = Run((h, v) =>
        {
            var n = AtenGateway.RmsNorm(h, v, 1e-5).reshape(2, 8, 2, 16, 2);
            Tensor c = angles.cos().reshape(1, 8, 1, 16), s = angles.sin().reshape(1, 8, 1, 16), even = n.select(-1, 0), odd = n.select(-1, 1);
            var r = stack([even * c - odd * s, even * s + odd * c], -1).reshape(2, 8, 2, 32);
            return nn.functional.cross_entropy((nn.functional.silu(r) * h).reshape(16, 64), labels, null, -100, nn.Reduction.Sum);
        });
        Close(plainX.to(ScalarType.Float64), fusedX, wide: true);
        Close(plainW.to(ScalarType.Float64), fusedW, wide: true);

        (Tensor, Tensor) Run(Func<Tensor, Tensor, Tensor> f)
        {
            Tensor h = x.clone().requires_grad_(), v = w.clone().requires_grad_();
            f(h, v).backward();
            BackwardFailure.ThrowIfAny();
            return (h.grad!, v.grad!);
        }
    }

    [Fact]
    public void Not_a_number_reaches_every_result()
    {
        using var scope = NewDisposeScope();
        var x = randn(4, 64);
        x[1, 3] = float.NaN;
        Assert.True(FusedRmsNorm.Normalize(x, ones(64), 1e-5)[1].isnan().all().item<bool>());
        Assert.True(FusedSwiGlu.Multiply(x, ones(4, 64))[1, 3].isnan().item<bool>());
        Assert.True(float.IsNaN(FusedCrossEntropy.Sum(x, zeros(4, dtype: ScalarType.Int64)).item<float>()));
        var infinite = randn(4, 64);
        infinite[2, 5] = float.PositiveInfinity;
        Assert.True(float.IsNaN(FusedCrossEntropy.Sum(infinite, zeros(4, dtype: ScalarType.Int64)).item<float>()));
    }

    [Fact]
    public void What_does_not_fit_is_refused_with_the_shapes()
    {
        using var scope = NewDisposeScope();
        Assert.Contains("expected [D]", Assert.Throws<ArgumentException>(() => FusedRmsNorm.Normalize(ones(2, 4), ones(5), 1e-5)).Message, StringComparison.Ordinal);
        Assert.Contains("one shape", Assert.Throws<ArgumentException>(() => FusedSwiGlu.Multiply(ones(2, 4), ones(4, 2))).Message, StringComparison.Ordinal);
        Assert.Contains("S up to 3", Assert.Throws<ArgumentException>(() => FusedRotary.Rotate(ones(1, 4, 1, 4), new RotaryTable(ones(3, 2), ones(3, 2)))).Message, StringComparison.Ordinal);
        Assert.Contains("label 9", Assert.Throws<ArgumentException>(() => FusedCrossEntropy.Sum(ones(1, 4), tensor(new long[] { 9 }))).Message, StringComparison.Ordinal);
    }

    private static Tensor Sample(int seed, bool wide, params long[] shape)
    {
        manual_seed(seed);
        var x = randn(shape);
        return wide ? x : x.to(ScalarType.BFloat16);
    }

    private static Tensor Double(Tensor x) => x.to(ScalarType.Float64).detach();

    /// <param name="expected">In fp64.</param>
    /// <param name="actual">What the kernel gives.</param>
    /// <param name="wide">Whether the kernel reads and writes fp32, not bf16.</param>
    /// <param name="terms">The largest of the terms that may cancel out in the result.</param>
    private static void Close(Tensor expected, Tensor actual, bool wide, double terms = 0)
    {
        Assert.Equal(expected.shape, actual.shape);
        Assert.Equal(wide ? ScalarType.Float32 : ScalarType.BFloat16, actual.dtype);
        var error = (expected - actual.to(ScalarType.Float64)).abs();
        // A value's own rounding, and what fp32 loses in sums.
        var bound = expected.detach().abs() * (wide ? 0 : Math.Pow(2, -8)) + expected.detach().abs().max() * 1e-5 + 1e-6 * (1 + terms);
        Assert.True(error.le(bound).all().item<bool>(), $"off by {(error / bound).max().item<double>():g3} times the bound");
    }
}
