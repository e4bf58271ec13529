using System.Runtime.InteropServices;
using Titan.Kernels.Cuda;
using static TorchSharp.torch;

namespace Titan.Kernels.Tests.Cuda;

/// <summary>How many elements the kernels that need a row twice read from memory: counted where the sources load a pack.</summary>
public sealed unsafe class MemoryReadTests : IDisposable
{
    private readonly AlteredNative native = new(
        "types.cuh", "template <int N, typename T> DEVICE Pack<T, N> load(const T* p, bool whole, i64 count)\n{\n",
        """
        static i64 loaded;
        extern "C" __attribute__((used)) i64 emulation_loaded() { const i64 all = loaded; loaded = 0; return all; }
        template <int N, typename T> DEVICE Pack<T, N> load(const T* p, bool whole, i64 count)
        {
            loaded += whole || count > N ? N : count;

        """);

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
    public void A_row_of_up_to_8192_elements_is_read_once_by_RmsNorm_and_once_by_its_gradient(ScalarType type)
    {
        using var scope = NewDisposeScope();
        foreach (var (rows, width) in new[] { (3L, 7L), (2L, 4096L), (2L, 8192L), (2L, 8200L) })
        {
            Tensor x = randn(rows, width).to(type), w = randn(width).to(type), g = randn(rows, width).to(type), rstd = ones(rows), dx = empty_like(x);
            // What the registers do not hold is read again. The weight is read for every row, in the gradient twice: all rows share it, so it lies in the cache.
            var beyond = Math.Max(width - 8192, 0);
            loaded();
            new CudaModelOps(launcher).RmsNorm(x, w, 1e-5);
            Assert.Equal(rows * (width + beyond + width), loaded());
            launcher.Launch("rms_norm_backward_x", $"rms_norm_backward_x_{KernelTypes.Name(x, "x")}", CPU, LaunchGrid.Line(rows, 1, 5), g, x, w, rstd, rows, width, dx);
            Assert.Equal(rows * (2 * (width + beyond) + 2 * width), loaded());
        }
    }

    [TheoryWithTools("g++")]
    [MemberData(nameof(Types))]
    public void Cross_entropy_reads_the_logits_once_for_the_loss_and_once_for_the_gradient(ScalarType type)
    {
        using var scope = NewDisposeScope();
        loaded();
        new CudaModelOps(launcher).CrossEntropyInPlace(randn(3, 2053).to(type), zeros(3, dtype: ScalarType.Int64));
        Assert.Equal(2 * 3 * 2053, loaded());
    }
}
