using CsCheck;
using Titan.Abstractions;
using Titan.Kernels.Casts;
using Titan.Quantization.Linear;
using Titan.Quantization.Scaling;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests.Scaling;

/// <summary>A matrix in float8: what its forms keep when it is decoded, turned, filled up, or was more than a matrix before.</summary>
public class QuantizedTensorTests
{
    private static readonly Float8Format[] Formats = [Float8Format.E4M3, Float8Format.E5M2];

    private static readonly ScalarType[] HighPrecision = [ScalarType.Float32, ScalarType.BFloat16, ScalarType.Float16];

    /// <summary>Every form of scales, by name.</summary>
    private static readonly IReadOnlyDictionary<string, OperandCast.Scaled> Casts = new Dictionary<string, OperandCast.Scaled>
    {
        ["tensorwise"] = Of(new ScaleGranularity.Tensorwise(), ScaleRounding.None), ["rowwise"] = Of(new ScaleGranularity.Rowwise(), ScaleRounding.PowerOfTwo),
        ["MX blocks"] = Of(new ScaleGranularity.Block(32), ScaleRounding.RoundUp), ["blocks"] = Of(new ScaleGranularity.Block(32), ScaleRounding.None),
        ["tiles"] = Of(new ScaleGranularity.Tile(16, 32), ScaleRounding.None),
    };

    public static TheoryData<string, int> Forms()
    {
        var data = new TheoryData<string, int>();
        foreach (var name in Casts.Keys)
            foreach (var contracted in new[] { 0, 1 })
                data.Add(name, contracted);
        return data;
    }

    [Fact]
    public void The_formats_are_those_of_NVIDIA_hardware()
    {
        // With a largest value of 448 and without infinity: e4m3fn. AMD's fnuz types would say 240.
        Assert.Equal((24, 448d), ((int)Float8Format.E4M3.Type, Float8Format.E4M3.Max));
        Assert.Equal((23, 57344d), ((int)Float8Format.E5M2.Type, Float8Format.E5M2.Max));
    }

    [Fact]
    public void A_decoded_operand_has_the_dtype_that_is_asked_for_and_the_values_of_its_cast()
    {
        using var scope = NewDisposeScope();
        manual_seed(61);
        foreach (var type in HighPrecision)
        {
            foreach (var format in Formats)
            {
                foreach (var fused in new[] { true, false })
                {
                    var x = randn(4, 4).to(type);
                    var operand = Numbers.Engine(Numbers.Tensorwise, fused).Cast(x, new OperandCast.Scaled(format, new ScaleGranularity.Tensorwise(), ScaleRounding.None), 1);
                    var y = operand.InHighPrecision(type);
                    Assert.Equal(type, y.dtype);
                    Assert.Equal(0, y.ne(operand.Quantized!.Dequantize().to(type)).sum().item<long>());
                    Assert.True(Numbers.Sqnr(x, y) > (format == Float8Format.E4M3 ? 25 : 19));
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Forms))]
    public void Turning_a_matrix_moves_no_byte_and_no_scale_and_its_axis_turns_with_it(string form, int contracted)
    {
        using var scope = NewDisposeScope();
        manual_seed(62);
        var x = randn(64, 96) * exp2((rand(64, 96) - 0.5) * 12);
        foreach (var kernels in new[] { CastKernels.Plain, CastKernels.Fused })
        {
            var q = QuantizedTensor.Cast(x, Casts[form], contracted, kernels);
            var t = q.Transpose();
            Assert.Equal(Numbers.Bytes(q.Data), Numbers.Bytes(t.Data.t()));
            Assert.Equal([.. q.Scale.shape.Reverse()], t.Scale.shape);
            Assert.Equal(Numbers.Bytes(q.Scale), Numbers.Bytes(t.Scale.dim() == 2 ? t.Scale.t() : t.Scale));
            Equal(q.Dequantize().t(), t.Dequantize());
            // What contracted one dimension contracts the other now: the transpose is the cast of the transposed matrix along it.
            var other = QuantizedTensor.Cast(x.t().contiguous(), Casts[form], 1 - contracted, kernels);
            Assert.Equal(Numbers.Bytes(other.Data), Numbers.Bytes(t.Data));
            Assert.Equal(Numbers.Bytes(other.Scale), Numbers.Bytes(t.Scale));
            Assert.Equal(other.Tile, t.Tile);
            Equal(q.Dequantize(), t.Transpose().Dequantize());
        }
    }

    [Theory]
    [MemberData(nameof(Forms))]
    public void Filling_a_matrix_up_copies_its_bytes_and_scales_and_adds_zeros(string form, int contracted)
    {
        using var scope = NewDisposeScope();
        manual_seed(63);
        var q = QuantizedTensor.Cast(randn(64, 96), Casts[form], contracted, CastKernels.Fused);
        var size = q.Data.shape[contracted];
        var filled = Padding.Extend(q, contracted, size + 64);
        Assert.Equal(Numbers.Bytes(q.Data), Numbers.Bytes(filled.Data.narrow(contracted, 0, size)));
        Equal(q.Dequantize(), filled.Dequantize().narrow(contracted, 0, size));
        Assert.Equal(0f, filled.Dequantize().narrow(contracted, size, 64).abs().max().item<float>());
    }

    [Theory]
    [InlineData(ScaleRounding.None), InlineData(ScaleRounding.PowerOfTwo)]
    public void A_scale_per_index_keeps_the_precision_of_the_format_in_any_number_of_dimensions(ScaleRounding rounding)
    {
        var least = double.PositiveInfinity;
        for (var seed = 0; seed < 20; seed++)
        {
            using var scope = NewDisposeScope();
            manual_seed(seed);
            foreach (var shape in new long[][] { [8, 16], [4, 8, 16], [2, 4, 8, 16] })
            {
                foreach (var type in new[] { ScalarType.BFloat16, ScalarType.Float32 })
                {
                    var x = randn(shape).to(type);
                    // Over the first dimension one scale for each index of the others; over the last, likewise.
                    foreach (var (matrix, contracted) in new[] { (x.reshape(shape[0], -1), 0), (x.reshape(-1, shape[^1]), 1) })
                    {
                        var q = QuantizedTensor.Cast(matrix, Of(new ScaleGranularity.Rowwise(), rounding), contracted, CastKernels.Fused);
                        Assert.Equal(x.numel() / matrix.shape[contracted], q.Scale.numel());
                        least = Math.Min(least, Numbers.Sqnr(x, q.Dequantize().reshape(shape)));
                    }
                }
            }
        }

        Assert.True(least >= 27.5, $"{least:f2} dB");
    }

    [Fact]
    public void Scales_of_a_tensor_with_three_dimensions_are_those_of_its_flattened_rows_or_columns()
    {
        using var scope = NewDisposeScope();
        manual_seed(64);
        var x = randn(3, 5, 7) * exp2((rand(3, 5, 7) - 0.5) * 20);
        foreach (var (matrix, contracted, scales) in new[] { (x.reshape(3, 35), 0, new long[] { 1, 35 }), (x.reshape(15, 7), 1, [15, 1]), (x.reshape(15, 7), 0, [1, 7]) })
        {
            foreach (var kernels in new[] { CastKernels.Plain, CastKernels.Fused })
            {
                var q = QuantizedTensor.Cast(matrix, Casts["rowwise"], contracted, kernels);
                Assert.Equal(scales, q.Scale.shape);
                // As over the tensor itself, without flattening.
                var amax = matrix.shape[0] == 3 ? x.abs().amax([0L]).reshape(1, 35) : contracted == 1 ? x.abs().amax([2L]).reshape(15, 1) : x.abs().amax([0L, 1L]).reshape(1, 7);
                Equal(ScaleMath.FromAmax(amax, Float8Format.E4M3, ScaleRounding.PowerOfTwo), q.Scale);
                // There and back again.
                var back = new QuantizedTensor(q.Data.reshape(x.shape).reshape(matrix.shape), q.Scale, q.Format);
                Equal(q.Dequantize(), back.Dequantize());
            }
        }
    }

    [Fact]
    public void What_is_no_matrix_is_refused()
    {
        using var scope = NewDisposeScope();
        foreach (var (name, cast) in Casts)
        {
            foreach (var contracted in new[] { 0, 1 })
            {
                var e = Assert.Throws<ArgumentException>(() => QuantizedTensor.Cast(zeros(3, 32, 32), cast, contracted, CastKernels.Fused));
                Assert.True(e.Message.Contains("[3, 32, 32]", StringComparison.Ordinal), name);
            }
        }
    }

    [Fact]
    public void No_magnitude_however_small_has_an_infinite_scale()
    {
        using var scope = NewDisposeScope();
        var patterns = Enumerable.Range(0, 65536).Select(i => (short)i).ToArray();
        foreach (var type in new[] { ScalarType.Float16, ScalarType.BFloat16 })
        {
            var every = Kernels.Aten.AtenGateway.ViewDtype(tensor(patterns), type).to(ScalarType.Float32);
            var amax = every.masked_select(every.isfinite()).abs();
            foreach (var format in Formats)
            {
                foreach (var rounding in new[] { ScaleRounding.None, ScaleRounding.PowerOfTwo })
                {
                    var scale = ScaleMath.FromAmax(amax, format, rounding);
                    Assert.True(scale.isfinite().all().item<bool>() && scale.gt(0).all().item<bool>());
                }
            }
        }

        // Through the cast: the smallest fp16 numbers keep their precision, what lies below 1e-12 becomes small and nothing else.
        foreach (var kernels in new[] { CastKernels.Plain, CastKernels.Fused })
        {
            var tiny = QuantizedTensor.Cast(full(4, 4, 5.9604645e-8f).to(ScalarType.Float16), Casts["tensorwise"], 1, kernels);
            Assert.Equal(5.9604645e-8f, tiny.Dequantize().mean().item<float>(), 1e-13f);
            var tinier = QuantizedTensor.Cast(full(4, 4, 1e-20f), Casts["tensorwise"], 1, kernels);
            Assert.Equal(4.48e14f, tinier.Scale.item<float>());
            Assert.True(tinier.Dequantize().isfinite().all().item<bool>());
        }
    }

    [Fact]
    public void A_cast_by_managed_code_has_the_scale_and_the_bytes_of_the_ATen_chain()
    {
        // The CUDA kernels are held to the same chain in tests/Kernels/Cuda.
        Gen.Select(Gen.Int[1, 40], Gen.Int[1, 70], Gen.Int[0, 2], Gen.Bool, Gen.Bool, Gen.Int[0, 10000]).Sample((rows, columns, type, powerOfTwo, rowwise, seed) =>
        {
            using var scope = NewDisposeScope();
            manual_seed(seed);
            var x = (randn(rows, columns) * Math.Pow(2, seed % 12 - 8)).to(HighPrecision[type]);
            var rounding = powerOfTwo ? ScaleRounding.PowerOfTwo : ScaleRounding.None;
            foreach (var format in Formats)
            {
                foreach (var contracted in new[] { 0, 1 })
                {
                    var cast = new OperandCast.Scaled(format, rowwise ? new ScaleGranularity.Rowwise() : new ScaleGranularity.Tensorwise(), rounding);
                    QuantizedTensor plain = QuantizedTensor.Cast(x, cast, contracted, CastKernels.Plain), fused = QuantizedTensor.Cast(x, cast, contracted, CastKernels.Fused);
                    Assert.Equal(plain.Scale.shape, fused.Scale.shape);
                    Assert.Equal(Numbers.Bytes(plain.Scale), Numbers.Bytes(fused.Scale));
                    Assert.Equal(Numbers.Bytes(plain.Data), Numbers.Bytes(fused.Data));
                    if (rowwise) continue;
                    // By the definition, without ATen.
                    var scale = (float)(format.Max / Math.Max(x.to(ScalarType.Float32).data<float>().ToArray().Max(Math.Abs), 1e-12));
                    Assert.Equal(powerOfTwo ? MathF.Pow(2, MathF.Floor(MathF.Log2(scale))) : scale, plain.Scale.item<float>());
                }
            }
        }, iter: 150, threads: 1);
    }

    [Fact]
    public void Where_a_rounded_scale_is_one_binade_too_high_the_largest_element_is_the_formats_largest()
    {
        using var scope = NewDisposeScope();
        var above = 0;
        foreach (var format in Formats)
        {
            foreach (var j in new[] { -38, -20, -3, 0, 5, 40 })
            {
                for (var k = 0; k < 40; k++)
                {
                    // Just above 1.75 · 2^j the scale is just below a power of two, where log2 in fp32 may round up.
                    var amax = BitConverter.Int32BitsToSingle(BitConverter.SingleToInt32Bits((float)(1.75 * Math.Pow(2, j))) + k);
                    var x = tensor([amax, -amax, amax / 3, 0f]).reshape(2, 2);
                    foreach (var kernels in new[] { CastKernels.Plain, CastKernels.Fused })
                    {
                        var q = QuantizedTensor.Cast(x, new OperandCast.Scaled(format, new ScaleGranularity.Tensorwise(), ScaleRounding.PowerOfTwo), 1, kernels);
                        var high = (double)amax * q.Scale.item<float>() > format.Max;
                        if (high) above++;
                        var largest = q.Data.to(ScalarType.Float32)[0, 0].item<float>();
                        Assert.True(largest <= format.Max && largest >= format.Max / 2, $"{format} {amax:g9}: {largest}");
                        if (high) Assert.Equal((float)format.Max, largest);
                    }
                }
            }
        }

        Assert.True(above > 100, $"only {above} samples lie in the corner");
    }

    private static OperandCast.Scaled Of(ScaleGranularity granularity, ScaleRounding rounding) => new(Float8Format.E4M3, granularity, rounding);

    private static void Equal(Tensor expected, Tensor actual)
    {
        Assert.Equal(expected.shape, actual.shape);
        Assert.Equal(0, expected.ne(actual).sum().item<long>());
    }
}
