using CsCheck;
using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.Casts;
using Titan.Kernels.Matmuls;
using static TorchSharp.torch;

namespace Titan.Kernels.Tests.Matmuls;

/// <summary>The product on CPUs with AVX2 against ATen's product in fp64, for every dtype and layout of the operands.</summary>
public class CpuMatmulTests
{
    private static readonly ScalarType[] Types = [ScalarType.BFloat16, ScalarType.Float32, Float8Format.E4M3.Type, Float8Format.E5M2.Type];

    public static TheoryData<ScalarType, ScalarType> Pairs()
    {
        var data = new TheoryData<ScalarType, ScalarType>();
        foreach (var left in Types)
            foreach (var right in Types)
                data.Add(left, right);
        return data;
    }

    [Theory]
    [MemberData(nameof(Pairs))]
    public void The_product_is_the_exact_one_to_fp32_rounding_in_any_layout(ScalarType leftType, ScalarType rightType)
    {
        var size = Gen.OneOf(Gen.Int[1, 20], Gen.Int[80, 110], Gen.Int[380, 800]);
        Gen.Select(size, size, size, Gen.Int[0, 2], Gen.Int[0, 2], Gen.Bool, Gen.Int[0, 10000]).Sample((rows, inner, columns, leftLayout, rightLayout, wide, seed) =>
        {
            using var scope = NewDisposeScope();
            Tensor a = Laid(Values(rows, inner, leftType, seed), leftLayout), b = Laid(Values(inner, columns, rightType, seed + 1), rightLayout);
            var type = wide ? ScalarType.Float32 : ScalarType.BFloat16;
            var actual = CpuMatmul.Multiply(new MatmulOperand(a), new MatmulOperand(b), type);
            Assert.Equal([rows, columns], actual.shape);
            Assert.Equal(type, actual.dtype);
            Close(Double(a), Double(b), actual);
        }, iter: 12, threads: 1);
    }

    [Theory]
    [InlineData(true, true), InlineData(true, false), InlineData(false, true), InlineData(false, false)]
    public void Factors_are_those_of_rows_and_columns_or_one_for_all(bool perRow, bool perColumn)
    {
        Gen.Select(Gen.Int[1, 130], Gen.Int[1, 500], Gen.Int[1, 130], Gen.Int[0, 10000]).Sample((rows, inner, columns, seed) =>
        {
            using var scope = NewDisposeScope();
            Tensor a = Values(rows, inner, Float8Format.E4M3.Type, seed), b = Values(inner, columns, Float8Format.E5M2.Type, seed + 1);
            Tensor left = perRow ? rand(rows, 1) + 0.5 : tensor(0.7f), right = perColumn ? rand(1, columns) + 0.5 : tensor(1.9f);
            var plain = CpuMatmul.Multiply(new MatmulOperand(a), new MatmulOperand(b), ScalarType.Float32);
            foreach (var type in new[] { ScalarType.Float32, ScalarType.BFloat16 })
            {
                // The order of the multiplications is that of ICastKernels.Rescale.
                var expected = CastKernels.Plain.Rescale(plain, left, right, type);
                Same(expected, CpuMatmul.Multiply(new MatmulOperand(a), new MatmulOperand(b), type, left, right));
            }
        }, iter: 30, threads: 1);
    }

    [Fact]
    public void Block_scales_belong_to_the_operands_before_the_sum()
    {
        Gen.Select(Gen.Int[1, 70], Gen.Int[1, 30], Gen.Int[1, 70], Gen.Bool, Gen.Bool, Gen.Int[0, 10000]).Sample((rows, blocks, columns, turnLeft, turnRight, seed) =>
        {
            using var scope = NewDisposeScope();
            var inner = 32L * blocks;
            // Ranges so far apart that a factor at the wrong place is seen.
            Tensor x = Random(seed, rows, inner) * Random(seed + 1, rows, inner).mul(8).exp(), w = Random(seed + 2, inner, columns) * Random(seed + 3, inner, columns).mul(8).exp();
            var (left, leftScale) = CastKernels.Plain.CastBlocks(x, 1, 32, Float8Format.E4M3, ScaleRounding.Floor);
            var (right, rightScale) = CastKernels.Plain.CastBlocks(w, 0, 32, Float8Format.E4M3, ScaleRounding.RoundUp);
            Tensor a = CastKernels.Plain.DecodeBlocks(left, leftScale, ScalarType.Float32), b = CastKernels.Plain.DecodeBlocks(right, rightScale, ScalarType.Float32);
            if (turnLeft) (left, leftScale) = (Turned(left), Turned(leftScale));
            if (turnRight) (right, rightScale) = (Turned(right), Turned(rightScale));
            var actual = CpuMatmul.Multiply(new MatmulOperand(left, leftScale), new MatmulOperand(right, rightScale), ScalarType.Float32);
            Close(Double(a), Double(b), actual);
            Same(CpuMatmul.Multiply(new MatmulOperand(a), new MatmulOperand(b), ScalarType.Float32), actual);
        }, iter: 40, threads: 1);
    }

    [Fact]
    public void An_element_depends_on_its_row_and_column_alone()
    {
        using var scope = NewDisposeScope();
        Tensor a = Values(431, 900, ScalarType.BFloat16, 1), b = Values(900, 333, ScalarType.BFloat16, 2);
        var whole = CpuMatmul.Multiply(new MatmulOperand(a), new MatmulOperand(b), ScalarType.Float32);
        Gen.Select(Gen.Int[0, 430], Gen.Int[1, 431], Gen.Int[0, 332], Gen.Int[1, 333]).Sample((row, rows, column, columns) =>
        {
            using var inner = NewDisposeScope();
            (rows, columns) = (Math.Min(rows, 431 - row), Math.Min(columns, 333 - column));
            var part = CpuMatmul.Multiply(new MatmulOperand(a.narrow(0, row, rows)), new MatmulOperand(b.narrow(1, column, columns)), ScalarType.Float32);
            Same(whole.narrow(0, row, rows).narrow(1, column, columns), part);
        }, iter: 40, threads: 1);
    }

    [Fact]
    public void The_number_of_threads_changes_no_bit()
    {
        using var scope = NewDisposeScope();
        Tensor a = Values(700, 800, ScalarType.BFloat16, 1), b = Values(800, 500, ScalarType.BFloat16, 2);
        var threads = get_num_threads();
        try
        {
            set_num_threads(1);
            var one = CpuMatmul.Multiply(new MatmulOperand(a), new MatmulOperand(b), ScalarType.Float32);
            set_num_threads(3);
            Same(one, CpuMatmul.Multiply(new MatmulOperand(a), new MatmulOperand(b), ScalarType.Float32));
        }
        finally
        {
            set_num_threads(threads);
        }
    }

    [Theory]
    [InlineData(0, 5, 7), InlineData(5, 0, 7), InlineData(5, 7, 0)]
    public void An_empty_dimension_gives_zeros(long rows, long inner, long columns)
    {
        using var scope = NewDisposeScope();
        var product = CpuMatmul.Multiply(new MatmulOperand(ones(rows, inner)), new MatmulOperand(ones(inner, columns)), ScalarType.BFloat16);
        Assert.Equal([rows, columns], product.shape);
        Assert.Equal(0, product.numel() == 0 ? 0 : product.abs().max().to(ScalarType.Float32).item<float>());
    }

    [Theory]
    [InlineData(float.NaN), InlineData(float.PositiveInfinity), InlineData(float.NegativeInfinity)]
    public void What_is_not_finite_reaches_its_row_and_no_other(float value)
    {
        using var scope = NewDisposeScope();
        var a = ones(20, 40).to(ScalarType.BFloat16);
        a[7, 33] = value;
        var product = HighPrecisionProduct.Multiply(a, ones(40, 35).to(ScalarType.BFloat16)).to(ScalarType.Float32);
        Assert.All(product[7].data<float>().ToArray(), x => Assert.Equal(value, x));
        a[7, 33] = 1;
        Assert.Equal(19 * 35, product.eq(40).sum().item<long>());
    }

    [Fact]
    public void Products_of_more_dimensions_are_those_of_the_flattened_rows()
    {
        using var scope = NewDisposeScope();
        Tensor a = Values(30, 50, ScalarType.BFloat16, 1).view(2, 3, 5, 50), b = Values(50, 20, ScalarType.BFloat16, 2);
        var product = HighPrecisionProduct.Multiply(a, b);
        Assert.Equal([2, 3, 5, 20], product.shape);
        Close(Double(a.view(30, 50)), Double(b), product.view(30, 20));
    }

    [Fact]
    public void Operands_that_do_not_fit_are_named()
    {
        using var scope = NewDisposeScope();
        var shapes = Assert.Throws<ArgumentException>(() => CpuMatmul.Multiply(new MatmulOperand(ones(2, 3)), new MatmulOperand(ones(4, 5)), ScalarType.Float32));
        Assert.Contains("[2, 3] by [4, 5]", shapes.Message);
        var type = Assert.Throws<ArgumentException>(() => CpuMatmul.Multiply(new MatmulOperand(ones(2, 3, dtype: ScalarType.Float64)), new MatmulOperand(ones(3, 5)), ScalarType.Float32));
        Assert.Contains("Float64", type.Message);
        var scale = AtenGateway.ViewDtype(ones(2, 3, dtype: ScalarType.Byte), Float8Format.E8M0.Type);
        var blocks = Assert.Throws<ArgumentException>(() => CpuMatmul.Multiply(new MatmulOperand(ones(2, 64), scale), new MatmulOperand(ones(64, 5)), ScalarType.Float32));
        Assert.Contains("block scales", blocks.Message);
    }

    /// <summary>Against fp64: the sum of n products in fp32 is off by at most n roundings of the sum of magnitudes, in practice by their root; bf16 rounds once more.</summary>
    private static void Close(Tensor a, Tensor b, Tensor actual)
    {
        var expected = a.mm(b);
        var inner = a.shape[1];
        var bound = a.abs().mm(b.abs()) * (Math.Pow(2, -24) * (4 + 2 * Math.Sqrt(inner))) + (actual.dtype == ScalarType.BFloat16 ? expected.abs() * Math.Pow(2, -8) : 0.0) + 1e-30;
        Assert.True((Double(actual) - expected).abs().le(bound).all().item<bool>());
    }

    private static void Same(Tensor expected, Tensor actual) =>
        Assert.Equal(expected.to(ScalarType.Float32).contiguous().data<float>().ToArray(), actual.to(ScalarType.Float32).contiguous().data<float>().ToArray());

    /// <summary>Row-major, transposed in memory, or with gaps between the elements.</summary>
    private static Tensor Laid(Tensor x, int layout) => layout switch { 0 => x, 1 => Turned(x), _ => Gaps(x) };

    private static Tensor Turned(Tensor x) => x.t().contiguous().t();

    private static Tensor Gaps(Tensor x)
    {
        var wide = zeros([x.shape[0], 2 * x.shape[1] + 1], dtype: x.dtype);
        var part = wide.as_strided(x.shape, [wide.shape[1], 2]);
        part.copy_(x);
        return part;
    }

    private static Tensor Values(long rows, long columns, ScalarType type, int seed) => Random(seed, rows, columns).to(type);

    private static Tensor Random(int seed, long rows, long columns)
    {
        var random = new Random(seed);
        return tensor(Enumerable.Range(0, (int)(rows * columns)).Select(_ => (float)(random.NextDouble() * 2 - 1)).ToArray(), rows, columns);
    }

    private static Tensor Double(Tensor x) => x.to(ScalarType.Float32).to(ScalarType.Float64);
}
