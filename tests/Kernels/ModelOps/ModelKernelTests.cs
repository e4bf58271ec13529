using CsCheck;
using Titan.Kernels.Aten;
using Titan.Kernels.ModelOps;
using Titan.Kernels.Simd;
using Titan.Kernels.Tests.Cuda;
using static TorchSharp.torch;

namespace Titan.Kernels.Tests.ModelOps;

/// <summary>What the model's kernels do beyond their definition (see <c>FusedKernelTests</c>), on the CPU: fused with their neighbours, equal to the chain of both to the bit.</summary>
public sealed class ModelKernelTests
{
    private static readonly ScalarType[] Types = [ScalarType.BFloat16, ScalarType.Float32];

    [Fact]
    public void A_residual_is_added_and_the_sum_normalised_as_by_an_addition_of_its_own()
    {
        foreach (var type in Types)
            Gen.Select(Gen.Int[1, 20], Gen.Int[1, 150], Gen.Int[0, 10000]).Sample((rows, width, seed) =>
            {
                using var scope = NewDisposeScope();
                Tensor x = Sample(seed, type, rows, width), residual = Sample(seed + 1, type, rows, width), w = Sample(seed + 2, type, width), g = Sample(seed + 3, type, rows, width), past = Sample(seed + 4, type, rows, width);
                var sum = x + residual;
                var plain = RmsNormKernel.Forward(sum, null, w, 1e-5);
                var fused = RmsNormKernel.Forward(x, residual, w, 1e-5);
                Samples.AssertSameFloats(sum, fused.Sum!, "sum");
                Samples.AssertSameFloats(plain.Y, fused.Y, "y");
                Samples.AssertSameFloats(plain.Rstd, fused.Rstd, "rstd");
                var alone = RmsNormKernel.Backward(g, sum, w, plain.Rstd);
                var both = RmsNormKernel.Backward(g, sum, w, plain.Rstd, past);
                Samples.AssertSameFloats(alone.X + past, both.X, "dx");
                Samples.AssertSameFloats(alone.Weight, both.Weight, "dw");
            }, iter: 40, threads: 1);
    }

    [Fact]
    public void The_largest_magnitude_beside_each_result_is_its_amax_and_without_asking_there_is_none()
    {
        foreach (var type in Types)
            foreach (var size in new long[] { 1, 17, 130, 3000 })
            {
                using var scope = NewDisposeScope();
                // Enough rows of the widest for several parts.
                var rows = size == 3000 ? 400 : 5;
                Tensor x = Sample(1, type, rows, size), other = Sample(2, type, rows, size), w = Sample(3, type, size), g = Sample(4, type, rows, size);
                var norm = RmsNormKernel.Forward(x, other, w, 1e-5, true);
                IsAmax(norm.Amax, norm.Y);
                var gradients = RmsNormKernel.Backward(g, norm.Sum!, w, norm.Rstd, other, true);
                IsAmax(gradients.Amax, gradients.X);
                var gate = SwiGluKernel.Forward(x, other, true);
                IsAmax(gate.Amax, gate.Y);
                var gates = SwiGluKernel.Backward(g, x, other, true);
                IsAmax(gates.AmaxOfA, gates.A);
                IsAmax(gates.AmaxOfB, gates.B);
                var labels = zeros(rows, dtype: ScalarType.Int64);
                var entropy = CrossEntropyKernel.Sum(x, labels, 0.3f, LogitsGradient.Apart, true);
                IsAmax(entropy.Amax, entropy.Gradient!);
                var angles = rand(rows, 32);
                var vectors = Sample(5, type, 2, rows, 3, 64);
                var turned = RotaryKernel.Rotate(vectors, new RotaryTable(angles.cos(), angles.sin()), true, false, true);
                IsAmax(turned.Amax, turned.Y);
                Assert.All(
                    new[]
                    {
                        RmsNormKernel.Forward(x, other, w, 1e-5).Amax, RmsNormKernel.Backward(g, x, w, norm.Rstd).Amax, SwiGluKernel.Forward(x, other).Amax,
                        SwiGluKernel.Backward(g, x, other).AmaxOfA, SwiGluKernel.Backward(g, x, other).AmaxOfB, CrossEntropyKernel.Sum(x, labels, 1, LogitsGradient.Apart).Amax,
                        CrossEntropyKernel.Sum(x, labels, 1, LogitsGradient.None, true).Amax,
                    }, Assert.Null);
            }
    }

    [Fact]
    public void Not_a_number_and_infinity_win_the_amax()
    {
        using var scope = NewDisposeScope();
        foreach (var type in Types)
            foreach (var bad in new[] { float.NaN, float.PositiveInfinity, float.NegativeInfinity })
            {
                Tensor a = ones([3, 40], dtype: type), b = ones([3, 40], dtype: type);
                b[1, 7] = bad;
                IsAmax(SwiGluKernel.Forward(a, b, true).Amax, SwiGluKernel.Forward(a, b).Y);
                Assert.False(float.IsFinite(SwiGluKernel.Forward(a, b, true).Amax!.max().item<float>()));
            }
    }

    [Fact]
    public void Wider_vectors_give_the_bits_of_narrower_ones()
    {
        Gen.Select(Gen.Int[1, 400], Gen.Int[0, 10000]).Sample((count, seed) =>
        {
            using var scope = NewDisposeScope();
            Run<Float32Element>(ScalarType.Float32);
            Run<BFloat16Element>(ScalarType.BFloat16);

            void Run<TElement>(ScalarType type) where TElement : struct, IElement
            {
                Tensor a = Sample(seed, type, 3, count) * 6, b = Sample(seed + 1, type, 3, count), g = Sample(seed + 2, type, 3, count), labels = tensor(new long[] { 0, -100, count - 1 });
                // Elements after the last whole vector of 16 are computed one by one at each width.
                Samples.AssertSameFloats(SwiGluKernel.Forward<TElement>(a, b, SimdPath.Vector256, false).Y, SwiGluKernel.Forward<TElement>(a, b, SimdPath.Vector512, false).Y, "y");
                var (da, db, _, _) = SwiGluKernel.Backward<TElement>(g, a, b, SimdPath.Vector256, false);
                var (wideA, wideB, _, _) = SwiGluKernel.Backward<TElement>(g, a, b, SimdPath.Vector512, false);
                Samples.AssertSameFloats(da, wideA, "da");
                Samples.AssertSameFloats(db, wideB, "db");
                Tensor gradient = empty_like(a), wide = empty_like(a);
                Assert.Equal(
                    CrossEntropyKernel.Sum<TElement>(a, labels, 0.7f, gradient, SimdPath.Vector256, false).Sum.item<float>(),
                    CrossEntropyKernel.Sum<TElement>(a, labels, 0.7f, wide, SimdPath.Vector512, false).Sum.item<float>());
                Samples.AssertSameFloats(gradient, wide, "gradient");
            }
        }, iter: 60, threads: 1);
    }

    [Fact]
    public void Vectors_are_rotated_where_they_lie_and_laid_out_as_asked()
    {
        using var scope = NewDisposeScope();
        foreach (var type in Types)
        {
            var angles = rand(7, 16) * 6;
            var table = new RotaryTable(angles.cos(), angles.sin());
            var x = Sample(3, type, 2, 5, 3, 32);
            var expected = RotaryKernel.Rotate(x, table).Y;
            foreach (var (laid, what) in new[]
            {
                (x.transpose(1, 2).contiguous().transpose(1, 2), "heads first"), (cat([x, x], 3).narrow(3, 16, 32), "a part of wider heads"), (x.transpose(0, 3).contiguous().transpose(0, 3), "D apart"),
            })
            {
                var source = what == "a part of wider heads" ? x.roll(16, 3) : x;
                Assert.False(laid.is_contiguous(), what);
                Samples.AssertSameFloats(RotaryKernel.Rotate(source, table).Y, RotaryKernel.Rotate(laid, table).Y, what);
            }

            var turned = RotaryKernel.Rotate(x, table, headsFirst: true).Y;
            Assert.True(turned.transpose(1, 2).is_contiguous());
            Samples.AssertSameFloats(expected, turned, "result with heads first");
        }
    }

    [Fact]
    public void The_factor_inside_gives_the_gradient_of_a_multiplication_afterwards_also_in_place_of_the_logits()
    {
        using var scope = NewDisposeScope();
        foreach (var type in Types)
            foreach (var factor in new[] { 1f, 1f / 3, 1f / 4096 })
            {
                var logits = Sample(11, type, 2, 9, 65) * 4;
                var labels = randint(0, 65, [18], dtype: ScalarType.Int64);
                labels[3] = CrossEntropyKernel.Ignored;
                var plain = CrossEntropyKernel.Sum(logits, labels, 1, LogitsGradient.Apart);
                var apart = CrossEntropyKernel.Sum(logits, labels, factor, LogitsGradient.Apart);
                var kept = logits.clone();
                var version = AtenGateway.Version(logits);
                var place = CrossEntropyKernel.Sum(logits, labels, factor, LogitsGradient.InPlace);
                Assert.Equal(TensorMemory.Identity(logits), TensorMemory.Identity(place.Gradient!));
                Assert.True(AtenGateway.Version(logits) > version);
                foreach (var result in new[] { apart, place, CrossEntropyKernel.Sum(kept, labels, factor, LogitsGradient.None) })
                {
                    Assert.Equal(plain.Sum.item<float>(), result.Sum.item<float>());
                    if (result.Gradient is not null) Samples.AssertSameFloats(plain.Gradient!.mul(tensor(factor)), result.Gradient, $"{type} {factor}");
                }
            }
    }

    [Fact]
    public void A_later_use_of_overwritten_logits_in_a_backward_is_an_error()
    {
        using var scope = NewDisposeScope();
        var x = randn(4, 6).requires_grad_();
        var logits = x * 1;
        var squares = logits.square().sum();
        CrossEntropyKernel.Sum(logits, zeros(4, dtype: ScalarType.Int64), 1, LogitsGradient.InPlace);
        Assert.Contains("modified by an inplace operation", Assert.ThrowsAny<Exception>(() => squares.backward()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_gradient_is_scaled_as_by_a_multiplication_with_its_magnitudes_and_stays_as_it_is_times_one()
    {
        using var scope = NewDisposeScope();
        foreach (var type in Types)
            foreach (var factor in new[] { 1f, -0.3f, 1e-30f, float.NaN })
            {
                var x = Sample(7, type, 33, 70);
                Tensor expected = x.mul(tensor(factor)), amax = stack([x.to(ScalarType.Float32).abs().max(), tensor(0.01f)]);
                var version = AtenGateway.Version(x);
                CrossEntropyKernel.ScaleUnlessOne(x, tensor(factor), amax);
                Samples.AssertSameFloats(expected, x, $"{type} {factor}");
                IsAmax(amax, x);
                if (factor == 1) Assert.Equal(version, AtenGateway.Version(x));
            }
    }

    [Fact]
    public void Operands_that_do_not_fit_are_refused_by_name()
    {
        using var scope = NewDisposeScope();
        Tensor x = ones(2, 4), labels = zeros(2, dtype: ScalarType.Int64);
        Refused("expected [D]", () => RmsNormKernel.Forward(x, null, ones(5), 1e-5));
        Refused("expected two of one shape", () => RmsNormKernel.Forward(x, ones(4, 2), ones(4), 1e-5));
        Refused("expected forward's", () => RmsNormKernel.Backward(x, x, ones(4), ones(3)));
        Refused("expected two of one shape", () => RmsNormKernel.Backward(x, x, ones(4), ones(2), ones(2, 4, dtype: ScalarType.BFloat16)));
        Refused("expected two of one shape", () => SwiGluKernel.Backward(ones(4, 2), x, x));
        Refused("S up to 3", () => RotaryKernel.Rotate(ones(1, 4, 1, 4), new RotaryTable(ones(3, 2), ones(3, 2))));
        Refused("label 9", () => CrossEntropyKernel.Sum(ones(1, 4), tensor(new long[] { 9 }), 1, LogitsGradient.None));
        Refused("not contiguous", () => CrossEntropyKernel.Sum(ones(4, 2).t(), labels, 1, LogitsGradient.InPlace));
        Refused("one int64 per row", () => CrossEntropyKernel.Sum(x, zeros(3, dtype: ScalarType.Int64), 1, LogitsGradient.None));
        Refused("one fp32 element", () => CrossEntropyKernel.ScaleUnlessOne(x, ones(2), null));
        Refused("this kernel takes fp32 and bf16", () => SwiGluKernel.Forward(x.to(ScalarType.Float64), x.to(ScalarType.Float64)));

        static void Refused(string why, Action call) => Assert.Contains(why, Assert.Throws<ArgumentException>(call).Message, StringComparison.Ordinal);
    }

    private static void IsAmax(Tensor? amax, Tensor of)
    {
        Assert.NotNull(amax);
        Assert.Equal((ScalarType.Float32, 1), (amax.dtype, amax.dim()));
        Assert.True(amax.numel() > 0);
        Samples.AssertSameFloats(of.to(ScalarType.Float32).abs().max().reshape(1), amax.max().reshape(1), "amax");
    }

    private static Tensor Sample(int seed, ScalarType type, params long[] shape)
    {
        manual_seed(seed);
        return randn(shape).to(type);
    }
}
