using Titan.Abstractions;
using Titan.Kernels.Casts;
using Titan.Quantization.Scaling;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests.Scaling;

public class MxGoldenTests
{
    public static TheoryData<string> Casts() => [.. Golden.Mx.Cases.Where(c => c.StartsWith("mx.", StringComparison.Ordinal))];

    public static TheoryData<string> Swizzles() => [.. Golden.Mx.Names.Where(c => c.EndsWith(".in", StringComparison.Ordinal)).Select(c => c[..^3])];

    [Theory]
    [MemberData(nameof(Casts))]
    public void Blocks_have_the_bytes_and_scales_of_the_reference_in_both_directions(string name)
    {
        using var scope = NewDisposeScope();
        var parts = name.Split('.');
        var format = parts[3] == "e4m3" ? Float8Format.E4M3 : Float8Format.E5M2;
        var rounding = parts[1] switch { "FLOOR" => ScaleRounding.Floor, "CEIL" => ScaleRounding.Ceil, "EVEN" => ScaleRounding.Even, _ => ScaleRounding.RoundUp };
        var cast = new OperandCast.Scaled(format, new ScaleGranularity.Block(32), rounding);
        var x = Golden.Mx[$"{name}.x"];
        foreach (var kernels in new[] { CastKernels.Plain, CastKernels.Fused })
        {
            // Along columns: the transposed input must give the transposed result.
            foreach (var quantized in new[] { QuantizedTensor.Cast(x, cast, 1, kernels), QuantizedTensor.Cast(x.t().contiguous(), cast, 0, kernels).Transpose() })
            {
                Assert.Equal(Golden.Mx.Bytes($"{name}.scale"), Numbers.Bytes(quantized.Scale));
                Assert.Equal(Golden.Canonical(Golden.Mx.Bytes($"{name}.data"), format), Golden.Canonical(Numbers.Bytes(quantized.Data), format));
            }
        }
    }

    [Theory]
    [MemberData(nameof(Swizzles))]
    public void Scales_are_laid_out_as_the_hardware_reads_them_and_back(string name)
    {
        using var scope = NewDisposeScope();
        var scales = Golden.Mx[$"{name}.in"];
        var swizzled = ScaleSwizzle.ToBlocked(scales);
        Assert.Equal(Golden.Mx.Bytes($"{name}.out"), Numbers.Bytes(swizzled));
        Assert.Equal(Golden.Mx.Bytes($"{name}.in"), Numbers.Bytes(ScaleSwizzle.FromBlocked(swizzled, scales.shape[0], scales.shape[1])));
    }

    [Fact]
    public void Each_scale_byte_goes_where_the_formula_says()
    {
        using var scope = NewDisposeScope();
        foreach (var (rows, columns) in new[] { (1, 1), (128, 4), (130, 5), (300, 17), (97, 3) })
        {
            var scales = arange(rows * columns).fmod(251).to(ScalarType.Byte).reshape(rows, columns);
            var swizzled = Numbers.Bytes(ScaleSwizzle.ToBlocked(scales));
            Assert.Equal((rows + 127) / 128 * 128 * ((columns + 3) / 4) * 4, swizzled.Length);
            for (var r = 0; r < rows; r++)
                for (var c = 0; c < columns; c++)
                    Assert.Equal((byte)((r * columns + c) % 251), swizzled[(r / 128 * ((columns + 3) / 4) + c / 4) * 512 + r % 32 * 16 + r % 128 / 32 * 4 + c % 4]);
        }
    }
}
