using System.Text.RegularExpressions;
using Titan.Abstractions;
using Titan.Kernels.Casts;
using Titan.Kernels.Cuda;
using static TorchSharp.torch;

namespace Titan.Kernels.Tests.Cuda;

/// <summary>That the emulation would find what it is there to find: kernels with a fault put in, and the list of kernels held complete.</summary>
public sealed partial class EmulationTests
{
    [FactWithTools("g++")]
    public void A_missing_barrier_gives_wrong_bytes_in_some_thread_order()
    {
        using var scope = NewDisposeScope();
        using var native = new AlteredNative("cast.cuh", "        __syncthreads();\n        tile_write", "        tile_write");
        var launcher = new EmulatedLauncher(NativeBuild.Build("library.cpp", "libemulation.so", "-O1 -shared -fPIC", native.Folder));
        var x = Samples.Matrix(64, 64, ScalarType.BFloat16, 1, special: false);
        var expected = Samples.Bytes(CastKernels.Plain.Cast(x.t(), tensor(1f), Float8Format.E4M3));
        var wrong = Enum.GetValues<ThreadOrder>().Count(order =>
            !expected.AsSpan().SequenceEqual(Samples.Bytes(new CudaCasts(launcher.In(order)).CastTransposed(x, tensor(1f), Float8Format.E4M3))));
        Assert.True(wrong > 0, "the fault went unseen");
    }

    [FactWithTools("g++")]
    public void What_is_read_from_shared_memory_before_it_was_waited_for_gives_wrong_bytes()
    {
        using var scope = NewDisposeScope();
        using var native = new AlteredNative("tile.cuh", "        if (staged) await_groups<1>();\n", "        if (staged) await_groups<2>();\n");
        var casts = new CudaCasts(new EmulatedLauncher(NativeBuild.Build("library.cpp", "libemulation.so", "-O1 -shared -fPIC", native.Folder)));
        var x = Samples.Matrix(2000, 128, ScalarType.BFloat16, 1, special: false);
        Assert.NotEqual(Samples.Bytes(CastKernels.Plain.Cast(x.t(), tensor(1f), Float8Format.E4M3)), Samples.Bytes(casts.CastTransposed(x, tensor(1f), Float8Format.E4M3)));
    }

    [FactWithTools("g++")]
    public void A_barrier_that_some_threads_never_reach_is_reported()
    {
        using var scope = NewDisposeScope();
        using var native = new AlteredNative("reduce.cuh", "    value = reduce_warp<Op>(value);\n", "    if (threadIdx.x == 3) return value;\n    value = reduce_warp<Op>(value);\n");
        var casts = new CudaCasts(new EmulatedLauncher(NativeBuild.Build("library.cpp", "libemulation.so", "-O1 -shared -fPIC", native.Folder)));
        var x = ones(64);
        Assert.Contains("reached by a part of its threads", Assert.Throws<InvalidOperationException>(() => casts.Amax(x)).Message);
    }

    [FactWithTools("g++")]
    public void A_read_past_the_end_ends_the_child_process_with_a_report_that_names_the_line()
    {
        using var scope = NewDisposeScope();
        using var native = new AlteredNative("types.cuh", "        if (k < count) pack.at[k] = p[k];", "        if (k <= count) pack.at[k] = p[k];");
        using var launcher = new SanitizedLauncher(NativeBuild.Build("child.cpp", "emulation_sanitized", "-O0 -g1 -fsanitize=address", native.Folder));
        var casts = new CudaCasts(launcher);
        var message = Assert.Throws<InvalidOperationException>(() => casts.AmaxRows(ones(1, 33))).Message;
        Assert.Contains("heap-buffer-overflow", message);
        Assert.Contains("types.cuh:", message);
    }

    [Fact]
    public void The_emulation_lists_every_kernel_of_every_source()
    {
        var table = Rows().Matches(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "native", "emulation", "kernels.h"))).Select(m => m.Groups[1].Value);
        var kernels = CudaSources.Names.SelectMany(n => Kernels().Matches(CudaSources.Text(n))).Select(m => m.Groups[1].Value + m.Groups[2].Value).Where(n => n != "NAME");
        Assert.Equal(kernels.Order(StringComparer.Ordinal), table.Order(StringComparer.Ordinal));
        Assert.Equal(23, CudaSources.Names.Count);
    }

    [GeneratedRegex(@"^    ROW\((\w+)\)", RegexOptions.Multiline)]
    private static partial Regex Rows();

    [GeneratedRegex(@"(?:^KERNEL(?:_OF\(\d+, \d+\))? (\w+)\(|^(?:CAST|DECODE|RESCALE)\(\w+, \w+, (\w+)\))", RegexOptions.Multiline)]
    private static partial Regex Kernels();
}
