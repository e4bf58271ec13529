using Titan.Abstractions;
using Titan.Kernels.Casts;
using Titan.Quantization.Matmuls;
using Titan.Quantization.Scaling;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests.Matmuls;

/// <summary>The tensor cores' matmul, run by libtorch's CPU kernel of the same name.</summary>
public sealed class ScaledMmMatmulTests
{
    private static readonly OperandCast.Scaled Rowwise = new(Float8Format.E4M3, new ScaleGranularity.Rowwise(), ScaleRounding.PowerOfTwo);

    private static readonly OperandCast.Scaled Tensorwise = new(Float8Format.E4M3, new ScaleGranularity.Tensorwise(), ScaleRounding.None);

    public static TheoryData<bool, bool> Granularities { get; } = new() { { true, true }, { true, false }, { false, true }, { false, false } };

    [Theory]
    [MemberData(nameof(Granularities))]
    public void A_result_in_fp32_is_rounded_nowhere_in_between_and_one_in_fp16_is_served(bool leftRows, bool rightRows)
    {
        using var scope = NewDisposeScope();
        var (left, right) = Operands(leftRows, rightRows);
        // Unit scales: the CPU's kernel takes no scales per row.
        var matmul = new ScaledMmMatmul(CastKernels.Plain, new RowScales("after it", _ => false));
        var expected = new EmulatedMatmul().Multiply(left, right, ScalarType.Float32, false);
        foreach (var (type, decibels) in new[] { (ScalarType.Float32, 100.0), (ScalarType.Float16, 60.0), (ScalarType.BFloat16, 45.0) })
        {
            var actual = matmul.Multiply(left, right, type, false);
            Assert.Equal(type, actual.dtype);
            Assert.True(Numbers.Sqnr(expected, actual.to(ScalarType.Float32)) > decibels, $"{type}: {Numbers.Sqnr(expected, actual.to(ScalarType.Float32)):F1} dB");
        }
    }

    [Fact]
    public void The_inverses_that_a_cast_wrote_are_what_the_product_is_multiplied_by()
    {
        using var scope = NewDisposeScope();
        foreach (var rows in new[] { false, true })
        {
            var (left, right) = Operands(rows, rows);
            var matmul = new ScaledMmMatmul(CastKernels.Plain, new RowScales("after it", _ => false));
            var without = matmul.Multiply(left with { Inverse = null }, right with { Inverse = null }, ScalarType.Float32, false);
            Assert.Equal(0, without.ne(matmul.Multiply(left, right, ScalarType.Float32, false)).sum().item<long>());
            Assert.Equal(0, (without * 2).ne(matmul.Multiply(left with { Inverse = left.Inverse! * 2 }, right, ScalarType.Float32, false)).sum().item<long>());
        }
    }

    [Fact]
    public void The_rule_is_asked_for_products_with_scales_per_row_only_and_is_told_their_shape()
    {
        using var scope = NewDisposeScope();
        var asked = new List<RowScaledProduct>();
        var matmul = new ScaledMmMatmul(CastKernels.Plain, new RowScales("test", p =>
        {
            asked.Add(p);
            return false;
        }));
        var (left, right) = Operands(true, true);
        matmul.Multiply(left, right, ScalarType.BFloat16, true);
        Assert.Equal([new RowScaledProduct(32, 64, 48, true, ScalarType.BFloat16)], asked);
        (left, right) = Operands(false, false);
        matmul.Multiply(left, right, ScalarType.BFloat16, true);
        Assert.Single(asked);
        Assert.Contains("test", matmul.Name);
    }

    [Theory]
    [InlineData(true, ScalarType.BFloat16, true)]
    [InlineData(true, ScalarType.Float32, false)]
    [InlineData(false, ScalarType.BFloat16, false)]
    public void Scales_per_row_go_inside_with_fast_accumulation_unless_the_result_is_in_fp32(bool fast, ScalarType type, bool inside) =>
        Assert.Equal(inside, RowScales.Default.Inside(new RowScaledProduct(8192, 4096, 4096, fast, type)));

    [Fact]
    public void An_operand_keeps_its_inverse_and_its_swizzled_scales_when_it_is_turned_aliased_and_filled_up()
    {
        using var scope = NewDisposeScope();
        var q = QuantizedTensor.Cast(randn(32, 64), Rowwise, 1, CastKernels.Plain);
        Assert.Equal([32, 1], q.Inverse!.shape);
        Assert.Equal([1, 32], q.Transpose().Inverse!.shape);
        Assert.Equal(Numbers.Bytes(q.Inverse), Numbers.Bytes(Padding.Extend(q.Alias(), 1, 96).Inverse!));
        Assert.Equal(0, q.FactorOutside().ne(1 / q.Scale).sum().item<long>());

        var mx = new OperandCast.Scaled(Float8Format.E4M3, new ScaleGranularity.Block(32), ScaleRounding.Floor);
        Assert.Null(QuantizedTensor.Cast(randn(32, 64), mx, 1, CastKernels.Plain).Swizzled);
        var blocks = QuantizedTensor.Cast(randn(32, 64), mx, 0, CastKernels.Plain, swizzled: true);
        Assert.Equal(Numbers.Bytes(ScaleSwizzle.ToBlocked(blocks.Scale.t())), Numbers.Bytes(blocks.Swizzled!));
        Assert.Equal(Numbers.Bytes(blocks.Swizzled!), Numbers.Bytes(blocks.Transpose().Swizzled!));
        // Filled up, the scales are others.
        Assert.Null(Padding.Extend(blocks, 0, 96).Swizzled);
    }

    private static (QuantizedTensor Left, QuantizedTensor Right) Operands(bool leftRows, bool rightRows)
    {
        manual_seed(11);
        return (
            QuantizedTensor.Cast(randn(32, 64), leftRows ? Rowwise : Tensorwise, 1, CastKernels.Plain),
            QuantizedTensor.Cast(randn(64, 48), rightRows ? Rowwise : Tensorwise, 0, CastKernels.Plain));
    }
}
