using Titan.Abstractions;
using Titan.Kernels.Casts;
using Titan.Quantization.Scaling;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests.Scaling;

/// <summary>Microscaling there and back again.</summary>
public class MxRoundTripTests
{
    private static readonly ScaleRounding[] Modes = [ScaleRounding.Floor, ScaleRounding.RoundUp, ScaleRounding.Ceil, ScaleRounding.Even];

    public static TheoryData<string, ScaleRounding> Cases()
    {
        var data = new TheoryData<string, ScaleRounding>();
        foreach (var format in new[] { "e4m3", "e5m2" })
            foreach (var mode in Modes)
                data.Add(format, mode);
        return data;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Blocks_keep_the_precision_of_their_format_and_have_a_scale_each(string name, ScaleRounding mode)
    {
        var format = name == "e4m3" ? Float8Format.E4M3 : Float8Format.E5M2;
        foreach (var (size, length) in new[] { (128, 32), (8, 4) })
        {
            foreach (var contracted in new[] { 0, 1 })
            {
                foreach (var kernels in new[] { CastKernels.Plain, CastKernels.Fused })
                {
                    using var scope = NewDisposeScope();
                    manual_seed(71);
                    var x = randn(size, size).to(ScalarType.BFloat16);
                    var q = QuantizedTensor.Cast(x, new OperandCast.Scaled(format, new ScaleGranularity.Block(length), mode), contracted, kernels);
                    Assert.Equal(x.shape, q.Data.shape);
                    Assert.Equal(contracted == 1 ? [size, size / length] : [size / length, size], q.Scale.shape);
                    var sqnr = Numbers.Sqnr(x, q.Dequantize());
                    Assert.True(sqnr >= (format == Float8Format.E4M3 ? 27.5 : 22.5), $"{format} {mode} {size}: {sqnr:f2} dB");
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Zeros_stay_exactly_zero_whether_all_or_some_are(string name, ScaleRounding mode)
    {
        using var scope = NewDisposeScope();
        manual_seed(72);
        var cast = new OperandCast.Scaled(name == "e4m3" ? Float8Format.E4M3 : Float8Format.E5M2, new ScaleGranularity.Block(32), mode);
        Tensor some = randn(64, 64).to(ScalarType.BFloat16), none = zeros(64, 64).to(ScalarType.BFloat16);
        // Single elements, a block of a row and of a column, and half of a block.
        some[5, 7] = 0;
        some.narrow(0, 0, 32).narrow(1, 0, 32).zero_();
        some.narrow(0, 40, 8).narrow(1, 32, 16).zero_();
        foreach (var x in new[] { some, none })
        {
            foreach (var kernels in new[] { CastKernels.Plain, CastKernels.Fused })
            {
                foreach (var contracted in new[] { 0, 1 })
                {
                    var decoded = QuantizedTensor.Cast(x, cast, contracted, kernels).Dequantize();
                    Assert.Equal(0f, decoded.masked_fill(x.ne(0), 0).abs().max().item<float>());
                    Assert.True(decoded.isfinite().all().item<bool>());
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_value_that_is_not_finite_makes_its_own_block_NaN_and_no_other(string name, ScaleRounding mode)
    {
        var format = name == "e4m3" ? Float8Format.E4M3 : Float8Format.E5M2;
        foreach (var bad in new[] { float.NaN, float.PositiveInfinity, float.NegativeInfinity })
        {
            // One element of a block, and all of them.
            foreach (var count in new[] { 1, 32 })
            {
                foreach (var kernels in new[] { CastKernels.Plain, CastKernels.Fused })
                {
                    foreach (var contracted in new[] { 0, 1 })
                    {
                        using var scope = NewDisposeScope();
                        manual_seed(73);
                        var x = randn(64, 96);
                        (contracted == 1 ? x.narrow(0, 3, 1).narrow(1, 32, count) : x.narrow(0, 32, count).narrow(1, 3, 1)).fill_(bad);
                        var q = QuantizedTensor.Cast(x, new OperandCast.Scaled(format, new ScaleGranularity.Block(32), mode), contracted, kernels);
                        var block = contracted == 1 ? 3 * 3 + 1 : 1 * 96 + 3;
                        Assert.Equal([block], Numbers.Bytes(q.Scale).Select((e, i) => (e, i)).Where(s => s.e == 255).Select(s => s.i));
                        var nan = q.Dequantize().isnan();
                        Assert.Equal(32, nan.sum().item<long>());
                        Assert.Equal(32, (contracted == 1 ? nan.narrow(0, 3, 1).narrow(1, 32, 32) : nan.narrow(0, 32, 32).narrow(1, 3, 1)).sum().item<long>());
                    }
                }
            }
        }
    }
}
