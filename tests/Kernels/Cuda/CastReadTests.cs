using System.Runtime.InteropServices;
using Titan.Abstractions;
using Titan.Kernels.Casts;
using Titan.Kernels.Cuda;
using static TorchSharp.torch;

namespace Titan.Kernels.Tests.Cuda;

/// <summary>How many elements the casts read from memory: counted where the sources fetch a pack. The rows of docs/cuda.md follow from these.</summary>
public sealed unsafe class CastReadTests : IDisposable
{
    private readonly AlteredNative native = AlteredNative.CountingReads();

    private readonly ICastKernels kernels;
    private readonly delegate* unmanaged<long> fetched;

    public CastReadTests()
    {
        var library = NativeBuild.Build("library.cpp", "libemulation.so", "-O1 -shared -fPIC", native.Folder);
        fetched = (delegate* unmanaged<long>)NativeLibrary.GetExport(NativeLibrary.Load(library), "emulation_loaded");
        kernels = new CudaCastKernels(() => new CudaCasts(new EmulatedLauncher(library).In(ThreadOrder.Forward)));
    }

    public static TheoryData<ScalarType> Types { get; } = [ScalarType.BFloat16, ScalarType.Float32];

    public void Dispose() => native.Dispose();

    [TheoryWithTools("g++")]
    [MemberData(nameof(Types))]
    public void A_cast_reads_its_matrix_once_and_once_more_for_each_scale_that_is_not_known_before_a_pass(ScalarType type)
    {
        using var scope = NewDisposeScope();
        const long rows = 64, columns = 256;
        var x = randn(rows, columns).to(type);
        CastTarget target = new(Float8Format.E4M3, ScaleRounding.PowerOfTwo), blocks = new(Float8Format.E4M3, ScaleRounding.Floor);
        var parts = ones(3);
        Assert.Equal(1, Passes(() => kernels.CastTensor(x, parts, target)));
        Assert.Equal(1, Passes(() => kernels.CastTensor(x, parts, target, OperandLayout.Both)));
        Assert.Equal(2, Passes(() => kernels.CastTensor(x, null, target, OperandLayout.Both)));
        Assert.Equal(1, Passes(() => kernels.CastRows(x, target)));
        Assert.Equal(1, Passes(() => kernels.CastBlocks(x, 32, blocks, null)));
        Assert.Equal(1, Passes(() => kernels.CastBlocks(x, 32, blocks, blocks, swizzled: true)));
        // The amaxes of columns leave a row behind for each block, which is read too.
        Assert.InRange(Passes(() => kernels.CastColumns(x, target)), 2, 2.1);
        Assert.InRange(Passes(() => kernels.CastRowsAndColumns(x, target, target)), 2, 2.1);

        double Passes<T>(Func<T> cast)
        {
            fetched();
            cast();
            return (double)fetched() / (rows * columns);
        }
    }

    [TheoryWithTools("g++")]
    [MemberData(nameof(Types))]
    public void A_row_of_up_to_16384_elements_is_read_once_and_beyond_that_the_rest_twice(ScalarType type)
    {
        using var scope = NewDisposeScope();
        foreach (var columns in new long[] { 7, 4096, 16384, 16400 })
        {
            var x = randn(2, columns).to(type);
            fetched();
            kernels.CastRows(x, new CastTarget(Float8Format.E4M3, ScaleRounding.None));
            Assert.Equal(2 * (columns + Math.Max(columns - 16384, 0)), fetched());
        }
    }
}
