using Titan.Abstractions;
using Titan.Kernels.Casts;
using Titan.Kernels.Cuda;
using Titan.Kernels.Tests.Casts;
using static TorchSharp.torch;

namespace Titan.Kernels.Tests.Cuda;

/// <summary>The CUDA casts that make their own scales, run by the emulation, against the ATen chain: elements, scales and inverses to the bit.</summary>
[Collection(NativeCollection.Name)]
public sealed class ScaledCastKernelTests(NativeBuild build)
{
    private static readonly ScalarType[] Types = [ScalarType.BFloat16, ScalarType.Float32];

    private static readonly ScaleRounding[] BlockRoundings = [ScaleRounding.Floor, ScaleRounding.RoundUp, ScaleRounding.Ceil, ScaleRounding.Even];

    /// <summary>One row, one column, below, at and beyond the edges of packs, warps, tiles, and of what one, two and four warps keep of a row.</summary>
    private static readonly (long Rows, long Columns)[] Shapes = [(1, 1), (1, 33), (37, 1), (7, 5), (64, 64), (129, 130), (3, 1032), (20, 2056), (260, 136), (16, 1000)];

    public static TheoryData<string> Launchers => NativeCollection.Launchers;

    [TheoryWithTools("g++")]
    [MemberData(nameof(Launchers))]
    public void Every_bf16_pattern_is_cast_with_one_scale_and_with_scales_per_row_and_column(string launcher)
    {
        using var scope = NewDisposeScope();
        // Special values apart: one NaN makes a tensor, or its row and column, NaN as a whole.
        var all = Samples.EveryBFloat16().reshape(256, 256);
        var x = launcher == "forward" ? where(all.isfinite(), all, zeros_like(all)) : all.narrow(0, 0, 64);
        foreach (var target in ScaledCastCases.Targets.Take(launcher == "forward" ? 4 : 1))
        {
            ScaledCastCases.CheckTensor(Kernels(launcher), x, target, "every bf16", amaxes: launcher == "forward" && target.Rounding == ScaleRounding.None);
            ScaledCastCases.CheckAlong(Kernels(launcher), x, target, target, "every bf16");
        }
    }

    [TheoryWithTools("g++")]
    [MemberData(nameof(Launchers))]
    public void Odd_shapes_are_cast_with_one_scale_and_with_scales_per_row_and_column(string launcher)
    {
        var targets = ScaledCastCases.Targets.ToArray();
        var seed = 0;
        foreach (var (rows, columns) in Shapes)
            foreach (var type in Types)
            {
                using var scope = NewDisposeScope();
                var x = Samples.Matrix(rows, columns, type, ++seed, special: launcher == "forward" && seed % 3 == 0);
                ScaledCastCases.CheckTensor(Kernels(launcher), x, targets[seed % 4], $"{type}", amaxes: x.numel() < 5000 && seed % 3 == 1);
                ScaledCastCases.CheckAlong(Kernels(launcher), x, targets[seed % 4], targets[seed / 4 % 4], $"{type}");
            }
    }

    [FactWithTools("g++")]
    public void Rows_that_are_wider_than_their_threads_keep_are_cast_the_same_way()
    {
        var seed = 900;
        foreach (var columns in new long[] { 4096, 8200, 16384, 16392, 20001 })
            foreach (var type in Types)
            {
                using var scope = NewDisposeScope();
                var target = ScaledCastCases.Targets.ElementAt(++seed % 4);
                ScaledCastCases.CheckAlong(Kernels("random"), Samples.Matrix(3, columns, type, seed, special: seed % 3 == 0), target, target, $"{type} {columns} columns");
            }
    }

    [FactWithTools("g++")]
    public void Memory_that_does_not_begin_at_sixteen_bytes_and_transposed_views_are_cast_the_same_way()
    {
        foreach (var type in Types)
        {
            using var scope = NewDisposeScope();
            var x = Samples.Matrix(160, 96, type, 5);
            var target = new CastTarget(Float8Format.E4M3, ScaleRounding.PowerOfTwo);
            foreach (var view in new[] { Samples.Misaligned(x), x.t() })
            {
                ScaledCastCases.CheckTensor(Kernels("random"), view, target, "view");
                ScaledCastCases.CheckAlong(Kernels("random"), view, target, target, "view");
                var blocks = new CastTarget(Float8Format.E4M3, ScaleRounding.Floor);
                ScaledCastCases.CheckBlocks(Kernels("random"), view, blocks, blocks, "view");
            }
        }
    }

    [TheoryWithTools("g++")]
    [MemberData(nameof(Launchers))]
    public void Blocks_in_both_directions_are_those_of_either_whatever_the_shape_and_the_roundings(string launcher)
    {
        var seed = 0;
        foreach (var (rows, columns) in new (long, long)[] { (1, 32), (3, 96), (32, 1), (32, 32), (96, 7), (65, 160), (160, 64), (130, 128), (32, 130), (256, 128), (300, 192) })
            foreach (var type in Types)
            {
                using var scope = NewDisposeScope();
                var x = Samples.Matrix(rows, columns, type, ++seed, special: seed % 2 == 0);
                // Formats that differ are cast one after the other.
                var other = seed % 5 == 0 ? Float8Format.E5M2 : Float8Format.E4M3;
                ScaledCastCases.CheckBlocks(
                    Kernels(launcher), x, new CastTarget(Float8Format.E4M3, BlockRoundings[seed % 4]), new CastTarget(other, BlockRoundings[seed / 4 % 4]), $"{type}");
            }
    }

    [FactWithTools("g++")]
    public void A_cast_with_given_parts_is_one_launch_and_what_makes_its_scale_needs_no_other()
    {
        using var scope = NewDisposeScope();
        var counting = new CountingLauncher(build.Launcher("forward"));
        ICastKernels kernels = new CudaCastKernels(() => new CudaCasts(counting));
        var x = Samples.Matrix(64, 96, ScalarType.BFloat16, 3);
        var target = new CastTarget(Float8Format.E4M3, ScaleRounding.PowerOfTwo);
        Assert.Equal(["cast_tensor_bf16_e4m3"], counting.During(() => kernels.CastTensor(x, ones(7), target)));
        Assert.Equal(["amax_parts_bf16", "cast_tensor_transposed_bf16_e4m3"], counting.During(() => kernels.CastTensor(x, null, target, OperandLayout.Both)));
        Assert.Equal(["cast_rows_bf16_e4m3"], counting.During(() => kernels.CastRows(x, target)));
        Assert.Equal(
            ["amax_columns_partial_bf16", "amax_columns_finish_bf16", "cast_transposed_bf16_e4m3"], counting.During(() => kernels.CastColumns(x, target)));
        Assert.Equal(
            ["cast_rows_columns_bf16_e4m3", "amax_columns_finish_bf16", "cast_transposed_bf16_e4m3"], counting.During(() => kernels.CastRowsAndColumns(x, target, target)));
        var blocks = new CastTarget(Float8Format.E4M3, ScaleRounding.Floor);
        Assert.Equal(["mx_dim1_bf16_e4m3"], counting.During(() => kernels.CastBlocks(x, 32, blocks, blocks, swizzled: true)));
    }

    [FactWithTools("g++")]
    public void An_empty_matrix_and_what_no_kernel_takes_are_served_or_refused_as_by_the_chain()
    {
        using var scope = NewDisposeScope();
        var kernels = Kernels("forward");
        var target = new CastTarget(Float8Format.E4M3, ScaleRounding.None);
        Assert.Equal(0x57CBBA10u, BitConverter.SingleToUInt32Bits(kernels.CastTensor(empty([0, 48]), null, target, OperandLayout.Both).Scale.item<float>()));
        Assert.Equal([0, 1], kernels.CastRowsAndColumns(empty([0, 48]), target, target).Rows.Scale.shape);
        Assert.Equal([1L], kernels.AmaxParts(empty([0, 48])).shape);
        var (rows, columns) = kernels.CastBlocks(empty([0, 64]), 32, new CastTarget(Float8Format.E4M3, ScaleRounding.Floor), new CastTarget(Float8Format.E4M3, ScaleRounding.Floor));
        Assert.Equal([0, 64], rows!.Data.shape);
        Assert.Equal([0, 64], columns!.Data.shape);
        var x = ones(4, 32);
        Assert.Contains("block scales", Assert.Throws<TitanException>(() => kernels.CastTensor(x, null, new CastTarget(Float8Format.E4M3, ScaleRounding.Floor))).Message);
        Assert.Contains("block scales", Assert.Throws<TitanException>(() => kernels.CastRowsAndColumns(x, target, new CastTarget(Float8Format.E4M3, ScaleRounding.Even))).Message);
        Assert.Contains("at least one", Assert.Throws<ArgumentException>(() => kernels.CastTensor(x, empty(0), target)).Message);
        Assert.Contains("fp32 magnitude", Assert.Throws<ArgumentException>(() => kernels.CastTensor(x, ones(3, dtype: ScalarType.Float64), target)).Message);
        Assert.Contains("expected [R, C]", Assert.Throws<ArgumentException>(() => kernels.CastRows(ones(4), target)).Message);
        Assert.Contains("format of scales", Assert.Throws<ArgumentException>(() => kernels.CastRows(x, new CastTarget(Float8Format.E8M0, ScaleRounding.None))).Message);
    }

    private ICastKernels Kernels(string launcher) => new CudaCastKernels(() => new CudaCasts(build.Launcher(launcher)));

    /// <summary>Writes down which kernels were launched.</summary>
    private sealed class CountingLauncher(IKernelLauncher own) : IKernelLauncher
    {
        private readonly List<string> launched = [];

        public TorchSharp.DeviceType Device => own.Device;

        public int BlocksToFill(Device device) => own.BlocksToFill(device);

        public long SharedMemory(Device device) => own.SharedMemory(device);

        public void Launch(string source, string kernel, Device device, LaunchGrid grid, params ReadOnlySpan<KernelArgument> arguments)
        {
            launched.Add(kernel);
            own.Launch(source, kernel, device, grid, arguments);
        }

        public string[] During<T>(Func<T> work)
        {
            launched.Clear();
            work();
            return [.. launched];
        }
    }
}
