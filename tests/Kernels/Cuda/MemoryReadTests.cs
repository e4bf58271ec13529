using System.Runtime.InteropServices;
using Titan.Kernels.Cuda;
using static TorchSharp.torch;

namespace Titan.Kernels.Tests.Cuda;

/// <summary>How many elements the kernels that need a row twice read from memory: counted where the sources fetch a pack.</summary>
public sealed unsafe class MemoryReadTests : IDisposable
{
    private readonly AlteredNative native = AlteredNative.CountingReads();

    private readonly EmulatedLauncher launcher;
    private readonly delegate* unmanaged<long> loaded;

    public MemoryReadTests()
    {
        var library = NativeBuild.Build("library.cpp", "libemulation.so", "-O1 -shared -fPIC", native.Folder);
        loaded = (delegate* unmanaged<long>)NativeLibrary.GetExport(NativeLibrary.Load(library), "emulation_loaded");
        launcher = new EmulatedLauncher(library).In(ThreadOrder.Forward);
    }

    public static TheoryData<ScalarType> Types { get; } = [ScalarType.BFloat16, ScalarType.Float32];

    public void Dispose() => native.Dispose();

    [TheoryWithTools("g++")]
    [MemberData(nameof(Types))]
    public void A_row_of_up_to_8192_elements_is_read_once_by_RmsNorm_and_once_by_its_gradients(ScalarType type)
    {
        using var scope = NewDisposeScope();
        var ops = new CudaModelOps(launcher);
        foreach (var (rows, width) in new[] { (3L, 7L), (2L, 1024L), (3L, 4096L), (2L, 8192L), (2L, 8200L) })
        {
            Tensor x = randn(rows, width).to(type), w = randn(width).to(type), g = randn(rows, width).to(type), rstd = ones(rows);
            // What the registers do not hold is read again. A block reads the weight once for all of its rows forward, and for each row backward; it lies in the cache.
            var beyond = Math.Max(width - 8192, 0);
            var grid = LaunchGrid.Rows(rows, width, 5);
            Assert.Equal(width > 4096 ? 512u : 256u, grid.BlockX * grid.BlockY);
            var weights = grid.X * grid.BlockY * (width - beyond) + rows * beyond;
            loaded();
            ops.RmsNorm(x, null, w, 1e-5);
            Assert.Equal(rows * (width + beyond) + weights, loaded());
            ops.RmsNorm(x, g, w, 1e-5);
            // Of the second reading, the sum is enough.
            Assert.Equal(rows * (2 * width + beyond) + weights, loaded());
            // The weight beyond the registers is read for the sum and for the result.
            weights = rows * (width - beyond) + 2 * rows * beyond;
            ops.RmsNormBackward(g, x, w, rstd);
            Assert.Equal(rows * 2 * (width + beyond) + weights, loaded());
            ops.RmsNormBackward(g, x, w, rstd, g);
            Assert.Equal(rows * (3 * width + 2 * beyond) + weights, loaded());
        }
    }

    [TheoryWithTools("g++")]
    [MemberData(nameof(Types))]
    public void Cross_entropy_reads_the_logits_once_and_again_only_what_does_not_fit_onto_the_multiprocessor_and_not_at_all_where_the_label_is_ignored(ScalarType type)
    {
        using var scope = NewDisposeScope();
        var ops = new CudaModelOps(launcher);
        var labels = tensor(new long[] { 0, 3, -100, 2052, 1, -100, -100, 7 });
        const long rows = 5;
        foreach (var classes in new long[] { 2056, 20480, 40960 })
        {
            var logits = randn(8, classes).to(type);
            var (grid, slots) = LaunchGrid.LongRows(8, classes, logits.element_size(), 5, launcher.SharedMemory(CPU));
            // Two packs of a thread are in registers.
            var beyond = Math.Max(classes - (slots + 2) * grid.BlockX * (16 / logits.element_size()), 0);
            Assert.Equal(classes > 20480 || (classes == 20480 && type == ScalarType.Float32), beyond > 0);
            loaded();
            ops.CrossEntropy(logits, labels, 1, null);
            Assert.Equal(rows * classes, loaded());
            ops.CrossEntropy(logits, labels, 1, logits);
            Assert.Equal(rows * (classes + beyond), loaded());
        }

        // Rows that are no whole packs are read twice.
        var odd = randn(8, 2053).to(type);
        loaded();
        ops.CrossEntropy(odd, labels, 1, odd);
        Assert.Equal(2 * rows * 2053, loaded());
    }

    [TheoryWithTools("g++")]
    [MemberData(nameof(Types))]
    public void A_gradient_times_one_is_not_read(ScalarType type)
    {
        using var scope = NewDisposeScope();
        var ops = new CudaModelOps(launcher);
        var x = randn(4, 2053).to(type);
        loaded();
        ops.ScaleUnlessOne(x, ones(1), null);
        Assert.Equal(0, loaded());
        ops.ScaleUnlessOne(x, ones(1) * 2, null);
        Assert.Equal(4 * 2053, loaded());
    }

    [TheoryWithTools("g++")]
    [MemberData(nameof(Types))]
    public void SwiGlu_and_rotary_read_each_operand_once(ScalarType type)
    {
        using var scope = NewDisposeScope();
        var ops = new CudaModelOps(launcher);
        Tensor a = randn(3, 5, 4, 64).to(type), angles = rand(5, 32);
        loaded();
        ops.SwiGlu(a, a, true);
        Assert.Equal(2 * a.numel(), loaded());
        ops.SwiGluBackward(a, a, a, true);
        Assert.Equal(3 * a.numel(), loaded());
        ops.Rotary(a, angles, angles, true, true, true);
        // The angles of a position serve four heads of it.
        Assert.Equal(a.numel() + a.numel() / 4, loaded());
    }
}
