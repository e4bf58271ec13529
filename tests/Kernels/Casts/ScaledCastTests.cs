using CsCheck;
using Titan.Abstractions;
using Titan.Kernels.Casts;
using Titan.Kernels.Tests.Cuda;
using static TorchSharp.torch;

namespace Titan.Kernels.Tests.Casts;

/// <summary>The casts that make their own scales, on the CPU.</summary>
public sealed class ScaledCastTests
{
    private static readonly ScaleRounding[] BlockRoundings = [ScaleRounding.Floor, ScaleRounding.RoundUp, ScaleRounding.Ceil, ScaleRounding.Even];

    public static TheoryData<string> Kernels { get; } = ["plain", "Portable", "Vector256", "Vector512"];

    [Theory]
    [MemberData(nameof(Kernels))]
    public void A_cast_that_finds_its_scale_gives_the_bytes_scale_and_inverse_of_the_ATen_chain(string name)
    {
        using var scope = NewDisposeScope();
        var every = Samples.EveryBFloat16().narrow(0, 0, 0x7f80).reshape(-1, 32);
        foreach (var target in ScaledCastCases.Targets)
        {
            ScaledCastCases.CheckTensor(CastTests.Named(name), every, target, "every finite bf16");
            ScaledCastCases.CheckAlong(CastTests.Named(name), every, target, target, "every finite bf16");
        }
    }

    [Theory]
    [MemberData(nameof(Kernels))]
    public void Any_shape_and_dtype_is_cast_with_one_scale_and_with_scales_per_row_and_column(string name)
    {
        var targets = ScaledCastCases.Targets.ToArray();
        Gen.Select(Gen.Int[0, 70], Gen.Int[1, 140], Gen.Bool, Gen.Bool, Gen.Int[0, 10000]).Sample((rows, columns, wide, transposed, seed) =>
        {
            using var scope = NewDisposeScope();
            var x = Samples.Matrix(rows, columns, wide ? ScalarType.Float32 : ScalarType.BFloat16, seed, special: seed % 2 == 0);
            if (transposed && rows > 0) x = x.t();
            if (x.numel() == 0) return;
            ScaledCastCases.CheckTensor(CastTests.Named(name), x, targets[seed % 4], "random");
            ScaledCastCases.CheckAlong(CastTests.Named(name), x, targets[seed % 4], targets[seed / 4 % 4], "random");
        }, iter: 40, threads: 1);
    }

    [Theory]
    [MemberData(nameof(Kernels))]
    public void Blocks_fill_their_dimension_up_and_their_scales_are_swizzled_on_request(string name)
    {
        Gen.Select(Gen.Int[1, 140], Gen.Int[1, 5], Gen.Bool, Gen.Int[0, 10000]).Sample((rows, blocks, wide, seed) =>
        {
            using var scope = NewDisposeScope();
            var x = Samples.Matrix(rows, 32 * blocks - (seed % 3 == 0 ? 5 : 0), wide ? ScalarType.Float32 : ScalarType.BFloat16, seed);
            ScaledCastCases.CheckBlocks(
                CastTests.Named(name), x, new CastTarget(Float8Format.E4M3, BlockRoundings[seed % 4]), new CastTarget(Float8Format.E4M3, BlockRoundings[seed / 4 % 4]), "random");
        }, iter: 30, threads: 1);
    }

    [Theory]
    [MemberData(nameof(Kernels))]
    public void An_empty_matrix_is_cast_as_if_its_amax_were_zero(string name)
    {
        using var scope = NewDisposeScope();
        var target = new CastTarget(Float8Format.E4M3, ScaleRounding.None);
        var cast = CastTests.Named(name).CastTensor(empty([0, 48]), null, target, OperandLayout.Both);
        Assert.Equal([0, 48], cast.Data!.shape);
        Assert.Equal([48, 0], cast.Transposed!.shape);
        Assert.Equal(0x57CBBA10u, BitConverter.SingleToUInt32Bits(cast.Scale.item<float>()));
        Assert.Equal([0, 1], CastTests.Named(name).CastRows(empty([0, 48]), target).Scale.shape);
        Assert.Equal(48, CastTests.Named(name).CastColumns(empty([0, 48]), target).Inverse.eq(1 / cast.Scale).sum().item<long>());
    }

    [Theory]
    [MemberData(nameof(Kernels))]
    public void Roundings_of_the_other_kind_and_parts_that_are_none_are_refused(string name)
    {
        using var scope = NewDisposeScope();
        var kernels = CastTests.Named(name);
        var x = ones(4, 32);
        Assert.Contains("block scales", Assert.Throws<TitanException>(() => kernels.CastTensor(x, null, new CastTarget(Float8Format.E4M3, ScaleRounding.Floor))).Message);
        Assert.Contains("block scales", Assert.Throws<TitanException>(() => kernels.CastRows(x, new CastTarget(Float8Format.E4M3, ScaleRounding.Even))).Message);
        Assert.Contains("block scales", Assert.Throws<TitanException>(() => kernels.CastColumns(x, new CastTarget(Float8Format.E4M3, ScaleRounding.Ceil))).Message);
        var target = new CastTarget(Float8Format.E4M3, ScaleRounding.None);
        Assert.Contains("at least one", Assert.Throws<ArgumentException>(() => kernels.CastTensor(x, empty(0), target)).Message);
        Assert.Contains("expected", Assert.Throws<ArgumentException>(() => kernels.CastTensor(x, ones(3, dtype: ScalarType.Float64), target)).Message);
    }
}
