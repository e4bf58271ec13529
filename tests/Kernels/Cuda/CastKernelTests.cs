using Titan.Abstractions;
using Titan.Kernels.Casts;
using Titan.Kernels.Cuda;
using static TorchSharp.torch;

namespace Titan.Kernels.Tests.Cuda;

/// <summary>The cast kernels against the chain of ATen operations: bytes and scales to the bit.</summary>
[Collection(NativeCollection.Name)]
public sealed class CastKernelTests(NativeBuild build)
{
    private static readonly Float8Format[] Formats = [Float8Format.E4M3, Float8Format.E5M2];

    private static readonly ScalarType[] Types = [ScalarType.BFloat16, ScalarType.Float32];

    /// <summary>One row, one column, below, at and beyond the edges of packs, warps and tiles.</summary>
    private static readonly (long Rows, long Columns)[] Shapes = [(1, 1), (1, 33), (37, 1), (7, 5), (64, 64), (65, 130), (3, 264), (130, 72), (16, 1000)];

    public static TheoryData<string> Launchers => NativeCollection.Launchers;

    [TheoryWithTools("g++")]
    [MemberData(nameof(Launchers))]
    public void Every_bf16_pattern_is_cast_as_by_ATen_in_every_layout(string launcher)
    {
        using var scope = NewDisposeScope();
        var casts = new CudaCasts(build.Launcher(launcher));
        var x = Samples.EveryBFloat16().reshape(256, 256);
        foreach (var format in Formats)
            foreach (var scale in launcher == "forward" ? [1f, 448f, 0.37f, 4.48e14f, 1.4933333e-36f, 0f, float.NaN] : new[] { 1f, 448f })
                CheckLayouts(casts, x, tensor(scale), format, $"scale {scale}");
    }

    [TheoryWithTools("g++")]
    [MemberData(nameof(Launchers))]
    public void Every_boundary_of_fp32_is_cast_as_by_ATen_in_every_layout(string launcher)
    {
        using var scope = NewDisposeScope();
        var casts = new CudaCasts(build.Launcher(launcher));
        foreach (var format in Formats)
        {
            var x = Samples.Float32(format, launcher == "forward" ? 8191 : 262147);
            foreach (var scale in new[] { 1f, 448f }) CheckLayouts(casts, x.reshape(-1, 64), tensor(scale), format, $"scale {scale}");
        }
    }

    [TheoryWithTools("g++")]
    [MemberData(nameof(Launchers))]
    public void Odd_shapes_with_one_scale_a_scale_per_row_and_a_scale_per_column_are_cast_as_by_ATen(string launcher)
    {
        var casts = new CudaCasts(build.Launcher(launcher));
        var seed = 0;
        foreach (var (rows, columns) in Shapes)
            foreach (var type in Types)
                foreach (var format in Formats)
                {
                    using var scope = NewDisposeScope();
                    var x = Samples.Matrix(rows, columns, type, ++seed);
                    foreach (var scale in new[] { tensor(3.7f), Scales(rows, 1, seed), Scales(1, columns, seed) })
                        CheckLayouts(casts, x, scale, format, $"{type} scale [{string.Join(", ", scale.shape)}]");
                }
    }

    [FactWithTools("g++")]
    public void Memory_that_does_not_begin_at_sixteen_bytes_and_transposed_views_are_cast_as_by_ATen()
    {
        using var scope = NewDisposeScope();
        var casts = new CudaCasts(build.Launcher("random"));
        foreach (var type in Types)
        {
            var x = Samples.Matrix(96, 64, type, 5);
            var view = Samples.Misaligned(x);
            CheckLayouts(casts, view, Scales(96, 1, 6), Float8Format.E4M3, "misaligned");
            CheckLayouts(casts, x.t(), Scales(1, 96, 7), Float8Format.E5M2, "transposed");
            CheckAmax(casts, view);
            Samples.AssertSameCodes(casts.MxRows(x, Float8Format.E4M3, ScaleRounding.Floor).Data, casts.MxRows(view, Float8Format.E4M3, ScaleRounding.Floor).Data);
            Samples.AssertSameCodes(casts.MxColumns(x, Float8Format.E4M3, ScaleRounding.Floor).Transposed, casts.MxColumns(view, Float8Format.E4M3, ScaleRounding.Floor).Transposed);
        }
    }

    [TheoryWithTools("g++")]
    [MemberData(nameof(Launchers))]
    public void The_largest_magnitude_of_a_tensor_its_rows_and_its_columns_is_ATens_and_NaN_wins(string launcher)
    {
        var casts = new CudaCasts(build.Launcher(launcher));
        var seed = 100;
        foreach (var (rows, columns) in Shapes)
            foreach (var type in Types)
                foreach (var special in new[] { false, true })
                {
                    using var scope = NewDisposeScope();
                    CheckAmax(casts, Samples.Matrix(rows, columns, type, ++seed, special));
                }
    }

    [TheoryWithTools("g++")]
    [MemberData(nameof(Launchers))]
    public void Scales_from_amax_are_the_double_chains_to_the_bit(string launcher)
    {
        using var scope = NewDisposeScope();
        var casts = new CudaCasts(build.Launcher(launcher));
        var amax = cat([
            Samples.EveryBFloat16().to(ScalarType.Float32).abs(), Samples.Float32(Float8Format.E4M3).abs(),
            tensor(new[] { 0f, 1e-13f, 1e-12f, 1f, 448f, 3e38f, float.PositiveInfinity, float.NaN }),
        ]);
        foreach (var format in Formats)
            foreach (var rounding in new[] { ScaleRounding.None, ScaleRounding.PowerOfTwo })
                Samples.AssertSameFloats(PlainScale(amax, format, rounding), casts.ScaleFromAmax(amax, format, rounding), $"{format} {rounding}");
        // The table of the specification, as bits.
        Assert.Equal(
            [0x57CBBA10u, 0x43E00000u, 0x3F800000u, 0x03FE13D7u, 0u],
            casts.ScaleFromAmax(tensor(new[] { 1e-13f, 1f, 448f, 3e38f, float.PositiveInfinity }), Float8Format.E4M3).data<float>().ToArray().Select(BitConverter.SingleToUInt32Bits));
    }

    [FactWithTools("g++")]
    public void Just_below_a_power_of_two_the_rounded_scale_is_the_power_above_as_in_the_ATen_chain()
    {
        using var scope = NewDisposeScope();
        var casts = new CudaCasts(build.Launcher("forward"));
        // amax just above 1.75 · 2^j puts the scale just below a power of two.
        var patterns = Enumerable.Range(-100, 220).SelectMany(j => Enumerable.Range(-8, 80).Select(k => (uint)(BitConverter.SingleToInt32Bits((float)(1.75 * Math.Pow(2, j))) + k)));
        var amax = tensor(patterns.Select(BitConverter.UInt32BitsToSingle).ToArray());
        var above = 0;
        foreach (var format in Formats)
        {
            var expected = PlainScale(amax, format, ScaleRounding.PowerOfTwo);
            Samples.AssertSameFloats(expected, casts.ScaleFromAmax(amax, format, ScaleRounding.PowerOfTwo), format.Name);
            above += (int)expected.gt(PlainScale(amax, format, ScaleRounding.None)).sum().item<long>();
        }

        Assert.True(above > 1000, $"only {above} samples lie in the corner");
    }

    [TheoryWithTools("g++")]
    [MemberData(nameof(Launchers))]
    public void Every_code_decodes_to_ATens_value(string launcher)
    {
        using var scope = NewDisposeScope();
        var casts = new CudaCasts(build.Launcher(launcher));
        var codes = tensor(Enumerable.Range(0, 256 * 3 + 37).Select(i => (byte)i).ToArray());
        foreach (var format in Formats)
        {
            var x = Titan.Kernels.Aten.AtenGateway.ViewDtype(codes, format.Type);
            foreach (var type in Types)
            {
                var decoded = casts.Decode(x, type);
                Assert.Equal(type, decoded.dtype);
                Samples.AssertSameFloats(x.to(type), decoded, $"{format} to {type}");
            }
        }
    }

    [TheoryWithTools("g++")]
    [MemberData(nameof(Launchers))]
    public void Blocks_along_rows_along_columns_and_of_both_decode_to_the_plain_chains_values_for_every_code_and_scale(string launcher)
    {
        var casts = new CudaCasts(build.Launcher(launcher));
        var seed = 0;
        foreach (var (rows, columns, height, width) in new (long, long, long, long)[]
            { (1, 1, 1, 1), (3, 64, 1, 32), (64, 5, 32, 1), (7, 33, 1, 3), (35, 19, 5, 1), (64, 96, 1, 32), (64, 96, 32, 1), (6, 84, 2, 7), (130, 272, 1, 16), (2, 40, 2, 40) })
            foreach (var format in Formats)
                foreach (var type in Types)
                {
                    using var scope = NewDisposeScope();
                    // Both walk through all 256 bytes where there are as many; NaN and the scales 0 and 255 are among them.
                    var data = Codes(rows, columns, format.Type, 251 * ++seed);
                    var scales = Codes(rows / height, columns / width, Float8Format.E8M0.Type, 127 + 61 * seed);
                    var what = $"{format} to {type}, blocks {height} x {width}";
                    var expected = CastKernels.Plain.DecodeBlocks(data, scales, type);
                    var actual = casts.DecodeBlocks(data, scales, type);
                    Assert.Equal(type, actual.dtype);
                    Samples.AssertSameFloats(expected, actual, what);
                    Samples.AssertSameFloats(expected, casts.DecodeBlocks(Samples.Misaligned(data), scales, type), what + ", misaligned");
                    Samples.AssertSameFloats(expected.t(), casts.DecodeBlocks(data.t(), scales.t(), type), what + ", transposed");
                }
    }

    [TheoryWithTools("g++")]
    [MemberData(nameof(Launchers))]
    public void A_product_gets_its_scales_back_as_by_the_plain_chain(string launcher)
    {
        var casts = new CudaCasts(build.Launcher(launcher));
        var seed = 200;
        foreach (var (rows, columns) in Shapes)
            foreach (var from in Types)
                foreach (var to in Types)
                {
                    using var scope = NewDisposeScope();
                    var product = Samples.Matrix(rows, columns, from, ++seed);
                    foreach (var left in new[] { tensor(0.37f), Scales(rows, 1, seed) })
                        foreach (var right in new[] { tensor(1.9f), Scales(1, columns, seed) })
                        {
                            var what = $"{from} to {to}, factors [{string.Join(", ", left.shape)}] and [{string.Join(", ", right.shape)}]";
                            var expected = CastKernels.Plain.Rescale(product, left, right, to);
                            var own = product.clone();
                            var actual = casts.Rescale(own, left, right, to);
                            Assert.Equal(to, actual.dtype);
                            Samples.AssertSameFloats(expected, actual, what);
                            Samples.AssertSameFloats(from == to ? expected : product, own, what + ", the product afterwards");
                            Samples.AssertSameFloats(expected, casts.Rescale(Samples.Misaligned(product), left, right, to), what + ", misaligned");
                            // A view's own memory stays as it is.
                            if (rows > 1 && columns > 1) Samples.AssertSameFloats(expected, casts.Rescale(product.t().contiguous().t(), left, right, to), what + ", transposed");
                        }
                }
    }

    [FactWithTools("g++")]
    public void The_factors_of_a_product_are_multiplied_with_each_other_first()
    {
        using var scope = NewDisposeScope();
        var casts = new CudaCasts(build.Launcher("forward"));
        // From the left, 1e30 times 1e30 would be infinite.
        Assert.Equal(1e30f, casts.Rescale(full([1, 1], 1e30f), tensor(1e30f), tensor(1e-30f), ScalarType.Float32).item<float>(), 1e25f);
    }

    [FactWithTools("g++")]
    public void Empty_tensors_are_cast_to_empty_tensors()
    {
        using var scope = NewDisposeScope();
        var casts = new CudaCasts(build.Launcher("forward"));
        var x = empty([0, 64]);
        Assert.Equal(0f, casts.Amax(x).item<float>());
        Assert.Equal([0, 64], casts.Cast(x, tensor(1f), Float8Format.E4M3).shape);
        Assert.Equal([64, 0], casts.CastTransposed(x, tensor(1f), Float8Format.E4M3).shape);
        Assert.Equal([0, 1], casts.AmaxRows(x).shape);
        Assert.Equal([0, 64], casts.DecodeBlocks(casts.Cast(x, tensor(1f), Float8Format.E4M3), Codes(0, 2, Float8Format.E8M0.Type, 0), ScalarType.BFloat16).shape);
        Assert.Equal([0, 64], casts.Rescale(x, empty([0, 1]), tensor(1f), ScalarType.BFloat16).shape);
        Samples.AssertSameFloats(zeros([1, 64]), casts.AmaxColumns(x));
    }

    [FactWithTools("g++")]
    public void What_a_kernel_cannot_take_is_refused_by_name()
    {
        using var scope = NewDisposeScope();
        var casts = new CudaCasts(build.Launcher("forward"));
        Tensor x = zeros(4, 48), one = tensor(1f);
        Assert.Contains("expected fp32 or bf16", Assert.Throws<ArgumentException>(() => casts.Amax(zeros(4, dtype: ScalarType.Float64))).Message);
        Assert.Contains("expected [R, C]", Assert.Throws<ArgumentException>(() => casts.AmaxRows(zeros(4))).Message);
        Assert.Contains("does not fit", Assert.Throws<ArgumentException>(() => casts.Cast(x, ones(3), Float8Format.E4M3)).Message);
        Assert.Contains("format of scales", Assert.Throws<ArgumentException>(() => casts.Cast(x, one, Float8Format.E8M0)).Message);
        Assert.Contains("multiple of 32", Assert.Throws<ArgumentException>(() => casts.MxRows(x, Float8Format.E4M3, ScaleRounding.Floor)).Message);
        Assert.Contains("multiple of 32", Assert.Throws<ArgumentException>(() => casts.MxColumns(x, Float8Format.E4M3, ScaleRounding.Floor)).Message);
        Assert.Contains("RoundUp", Assert.Throws<TitanException>(() => casts.MxRows(zeros(4, 64), Float8Format.E4M3, ScaleRounding.None)).Message);
        Assert.Contains("block scales", Assert.Throws<TitanException>(() => casts.ScaleFromAmax(one, Float8Format.E4M3, ScaleRounding.Floor)).Message);
        Assert.Contains("expected float8", Assert.Throws<ArgumentException>(() => casts.Decode(x)).Message);
        Assert.Contains("expected float8", Assert.Throws<ArgumentException>(() => casts.DecodeBlocks(x, one, ScalarType.Float32)).Message);
        var codes = Codes(4, 48, Float8Format.E4M3.Type, 0);
        Assert.Contains("cannot write", Assert.Throws<ArgumentException>(() => casts.DecodeBlocks(codes, one, ScalarType.Float16)).Message);
        Assert.Contains("do not divide", Assert.Throws<ArgumentException>(() => casts.DecodeBlocks(codes, ones(4, 2), ScalarType.Float32)).Message);
        Assert.Contains("do not divide", Assert.Throws<ArgumentException>(() => casts.DecodeBlocks(codes, Codes(4, 5, Float8Format.E8M0.Type, 0), ScalarType.Float32)).Message);
        Assert.Contains("do not fit product", Assert.Throws<ArgumentException>(() => casts.Rescale(x, ones(3, 1), one, ScalarType.Float32)).Message);
        Assert.Contains("do not fit product", Assert.Throws<ArgumentException>(() => casts.Rescale(x, one, ones(48, 1), ScalarType.Float32)).Message);
        Assert.Contains("expected fp32", Assert.Throws<ArgumentException>(() => casts.Rescale(x, one, tensor(1L), ScalarType.Float32)).Message);
    }

    private static void CheckLayouts(CudaCasts casts, Tensor x, Tensor scale, Float8Format format, string what)
    {
        var expected = CastKernels.Plain.Cast(x, scale, format);
        var transposed = CastKernels.Plain.Cast(x.t(), scale.dim() == 2 ? scale.t() : scale, format);
        Samples.AssertSameCodes(expected, casts.Cast(x, scale, format), $"row-major {format} {what}");
        Samples.AssertSameCodes(transposed, casts.CastTransposed(x, scale, format), $"transposed {format} {what}");
        var both = casts.CastBoth(x, scale, format);
        Samples.AssertSameCodes(expected, both.Data, $"both, row-major {format} {what}");
        Samples.AssertSameCodes(transposed, both.Transposed, $"both, transposed {format} {what}");
    }

    private static void CheckAmax(CudaCasts casts, Tensor x)
    {
        Samples.AssertSameFloats(x.abs().max().to(ScalarType.Float32), casts.Amax(x), $"amax {x.dtype}");
        Samples.AssertSameFloats(x.abs().amax([1], keepdim: true).to(ScalarType.Float32), casts.AmaxRows(x), $"amax of rows {x.dtype}");
        Samples.AssertSameFloats(x.abs().amax([0], keepdim: true).to(ScalarType.Float32), casts.AmaxColumns(x), $"amax of columns {x.dtype}");
    }

    private static Tensor PlainScale(Tensor amax, Float8Format format, ScaleRounding rounding)
    {
        var scale = (tensor(format.Max, dtype: ScalarType.Float64) / amax.to(ScalarType.Float64).clamp(min: 1e-12)).to(ScalarType.Float32);
        return rounding == ScaleRounding.None ? scale : exp2(scale.log2().floor());
    }

    /// <summary>Bytes that count up from a first one.</summary>
    private static Tensor Codes(long rows, long columns, ScalarType type, int first) => Titan.Kernels.Aten.AtenGateway.ViewDtype(
        tensor(Enumerable.Range(0, (int)(rows * columns)).Select(i => (byte)(first + i)).ToArray()).reshape(rows, columns), type);

    private static Tensor Scales(long rows, long columns, int seed)
    {
        using var generator = new Generator((ulong)seed);
        return rand([rows, columns], generator: generator) * 100 + 0.01f;
    }
}
