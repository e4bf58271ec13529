using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.Cuda;
using static TorchSharp.torch;

namespace Titan.Kernels.Casts;

/// <summary>
/// The casts of float8 and MX recipes on CUDA, one or two passes each, nothing waiting for the device. Bytes and scales equal those of the plain ATen chain.
/// Methods named as those of <see cref="ICastKernels"/> mean the same.
/// </summary>
public sealed partial class CudaCasts
{
    // As in tile.cuh and loads.cuh.
    private const long TileSide = 128;
    private const int Loads = 4;

    private readonly IKernelLauncher launcher;

    internal CudaCasts(IKernelLauncher launcher) => this.launcher = launcher;

    /// <summary>Name for reports.</summary>
    public string Name => "cuda";

    /// <summary>The kernels on this machine's GPUs.</summary>
    /// <exception cref="TitanException">There is no NVIDIA driver or no libnvrtc.</exception>
    public static CudaCasts Create() => new(CudaKernels.Launcher);

    /// <summary>For kernels that take tiles, so many blocks of them to a multiprocessor where the next tile of bf16 comes into shared memory.</summary>
    private LaunchGrid Tiles(Tensor x, int blocks)
    {
        var tiles = (x.Sizes()[0] + TileSide - 1) / TileSide * ((x.Sizes()[1] + TileSide - 1) / TileSide);
        long fill = launcher.BlocksToFill(x.device), staged = x.element_size() * TileSide * TileSide;
        return x.dtype == ScalarType.BFloat16 ? LaunchGrid.Line(tiles, 1, Math.Max(fill * blocks / 8, 1)) with { Shared = (uint)staged } : LaunchGrid.Line(tiles, 1, fill);
    }

    /// <summary>For kernels that take the elements as they come, so many to a thread at a time.</summary>
    private LaunchGrid Flat(Tensor x, long each) => LaunchGrid.Line(x.numel(), LaunchGrid.Threads * each, launcher.BlocksToFill(x.device));

    /// <summary>For kernels whose threads keep to their columns, so many to each, and take so many rows at once.</summary>
    private LaunchGrid Rows(Tensor x, long each, int rows = Loads) => LaunchGrid.Matrix(Packs(x, each), x.Sizes()[0], rows, launcher.BlocksToFill(x.device));

    private static long Packs(Tensor x, long each) => (x.Sizes()[1] + each - 1) / each;

    private static float ScaleOfZero(Float8Format format) => ScaleMath.FromAmax(0f, format, ScaleRounding.None);

    private static int PowerOfTwo(ScaleRounding rounding)
    {
        ScaleMath.CheckRounding(rounding);
        return rounding == ScaleRounding.PowerOfTwo ? 1 : 0;
    }

    private static string Name8(Float8Format format) =>
        format == Float8Format.E4M3 || format == Float8Format.E5M2 ? format.Name : throw new ArgumentException($"{format} is a format of scales; expected e4m3 or e5m2");

    private (Tensor Source, string Type) Matrix(Tensor x, string what) =>
        x.dim() == 2 ? Input(x, what) : throw new ArgumentException($"{what}: x has {x.dim()} dimensions; expected [R, C]");

    private (Tensor Source, string Type) Input(Tensor x, string what)
    {
        CheckDevice(x, what);
        return (x.contiguous(), KernelTypes.Name(x, what));
    }

    private void CheckDevice(Tensor x, string what)
    {
        if (x.device_type != launcher.Device) throw new ArgumentException($"{what}: x lies on {x.device}; expected a {launcher.Device} tensor");
    }

    private static long Lanes(Tensor x) => 16 / x.element_size();

    private static Tensor New(ReadOnlySpan<long> shape, ScalarType type, Tensor like) => empty(shape, dtype: type, device: like.device);
}
