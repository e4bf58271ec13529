using Titan.Abstractions;
using Titan.Kernels.Casts;
using Titan.Kernels.Cuda;
using Titan.Kernels.Tests.Casts;
using static TorchSharp.torch;

namespace Titan.Kernels.Tests.Cuda;

/// <summary>The MX cast kernels: scale bytes against their definition, data against the ATen chain with those scales.</summary>
[Collection(NativeCollection.Name)]
public sealed class MxKernelTests(NativeBuild build)
{
    private static readonly Float8Format[] Formats = [Float8Format.E4M3, Float8Format.E5M2];

    private static readonly ScaleRounding[] Modes = [ScaleRounding.Floor, ScaleRounding.RoundUp, ScaleRounding.Ceil, ScaleRounding.Even];

    public static TheoryData<string> Launchers => NativeCollection.Launchers;

    [TheoryWithTools("g++")]
    [MemberData(nameof(Launchers))]
    public void Blocks_of_every_bf16_pattern_are_cast_as_defined_in_every_mode(string launcher)
    {
        using var scope = NewDisposeScope();
        var x = Samples.EveryBFloat16().reshape(512, 128);
        foreach (var format in Formats)
            foreach (var mode in Modes)
                Check(launcher, x, format, mode);
    }

    [TheoryWithTools("g++")]
    [MemberData(nameof(Launchers))]
    public void Blocks_of_fp32_patterns_are_cast_as_defined_in_every_mode(string launcher)
    {
        using var scope = NewDisposeScope();
        foreach (var format in Formats)
        {
            var x = Samples.Float32(format, launcher == "forward" ? 65537 : 524287);
            x = x.narrow(0, 0, x.numel() / 2048 * 2048).reshape(-1, 64);
            foreach (var mode in Modes) Check(launcher, x, format, mode);
        }
    }

    [TheoryWithTools("g++")]
    [MemberData(nameof(Launchers))]
    public void Shapes_that_are_no_multiples_of_a_tile_are_cast_as_defined_and_swizzled(string launcher)
    {
        var seed = 0;
        foreach (var (rows, columns) in new (long, long)[] { (1, 32), (3, 96), (32, 1), (32, 32), (96, 7), (64, 160), (160, 64), (130, 32), (32, 130) })
            foreach (var type in new[] { ScalarType.BFloat16, ScalarType.Float32 })
                foreach (var mode in Modes)
                {
                    using var scope = NewDisposeScope();
                    Check(launcher, Samples.Matrix(rows, columns, type, ++seed), Float8Format.E4M3, mode);
                }
    }

    [FactWithTools("g++")]
    public void On_both_sides_of_every_value_where_a_scale_changes_the_blocks_are_cast_as_defined()
    {
        // A power of two, the largest mantissas of the formats, and where EVEN rounds up; in every binade, subnormals of the scale included.
        uint[] edges = [0x000000, 0x600000, 0x700000, 0x780000];
        var patterns = Enumerable.Range(0, 255).SelectMany(e => edges.SelectMany(m => Enumerable.Range(-2, 8).Select(k => (uint)((e << 23) + (int)m + k)))).Where(u => u < 0x7f800000);
        using var scope = NewDisposeScope();
        var amax = tensor(patterns.Select(BitConverter.UInt32BitsToSingle).ToArray());
        // The largest stands alone among smaller ones.
        var x = cat([amax.unsqueeze(1), amax.unsqueeze(1).expand(-1, 31) * 0.3f], 1);
        foreach (var format in Formats)
            foreach (var mode in Modes)
                Check("forward", x, format, mode);
    }

    [FactWithTools("g++")]
    public void Known_blocks_have_the_references_bytes_and_leave_the_block_beside_them_alone()
    {
        var casts = new CudaCasts(build.Launcher("random"));
        MxCases.Check((x, mode) => casts.MxRows(x, Float8Format.E4M3, mode));
        MxCases.Check((x, mode) => casts.MxColumns(x.t().contiguous(), Float8Format.E4M3, mode));
    }

    private void Check(string launcher, Tensor x, Float8Format format, ScaleRounding mode)
    {
        var casts = new CudaCasts(build.Launcher(launcher));
        if (x.shape[1] % 32 == 0)
        {
            var (scales, data) = Expected(x, format, mode);
            var plain = casts.MxRows(x, format, mode);
            Assert.Equal(Float8Format.E8M0.Type, plain.Scales.dtype);
            Assert.Equal([x.shape[0], x.shape[1] / 32], plain.Scales.shape);
            Assert.Equal(scales, Samples.Bytes(plain.Scales));
            Samples.AssertSameCodes(data, plain.Data, $"dim0 {format} {mode} {x.dtype}");
            var swizzled = casts.MxRows(x, format, mode, swizzled: true);
            Assert.Equal(Swizzled(scales, x.shape[0], x.shape[1] / 32), Samples.Bytes(swizzled.Scales));
            Samples.AssertSameCodes(data, swizzled.Data);
        }

        if (x.shape[0] % 32 == 0)
        {
            var (scales, data) = Expected(x.t().contiguous(), format, mode);
            var plain = casts.MxColumns(x, format, mode);
            Assert.Equal([x.shape[1], x.shape[0] / 32], plain.Scales.shape);
            Assert.Equal(scales, Samples.Bytes(plain.Scales));
            Samples.AssertSameCodes(data, plain.Transposed, $"dim1 {format} {mode} {x.dtype}");
            var swizzled = casts.MxColumns(x, format, mode, swizzled: true);
            Assert.Equal(Swizzled(scales, x.shape[1], x.shape[0] / 32), Samples.Bytes(swizzled.Scales));
            Samples.AssertSameCodes(data, swizzled.Transposed);
        }
    }

    private static (byte[] Scales, Tensor Data) Expected(Tensor x, Float8Format format, ScaleRounding mode)
    {
        var blocks = x.reshape(-1, 32);
        var amax = blocks.abs().amax([1], keepdim: true).to(ScalarType.Float32).data<float>().ToArray();
        var scales = amax.Select(a => MxOracle.Scale(a, format, mode)).ToArray();
        var factors = tensor(scales.Select(MxOracle.Reciprocal).ToArray()).unsqueeze(1);
        return (scales, CastKernels.Plain.Cast(blocks, factors, format).reshape(x.shape));
    }

    private static byte[] Swizzled(byte[] scales, long rows, long blocks)
    {
        var result = new byte[(rows + 127) / 128 * ((blocks + 3) / 4) * 512];
        for (long r = 0; r < rows; r++)
            for (long c = 0; c < blocks; c++)
                result[(r / 128 * ((blocks + 3) / 4) + c / 4) * 512 + r % 32 * 16 + r % 128 / 32 * 4 + c % 4] = scales[r * blocks + c];
        return result;
    }
}
