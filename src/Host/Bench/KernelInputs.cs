using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.Casts;
using TorchSharp;
using static TorchSharp.torch;

namespace Titan.Host.Bench;

/// <summary>What the kernel cases work on: a random matrix X[R,C], its scales, and the matrix cast.</summary>
public sealed class KernelInputs : IDisposable
{
    /// <summary>C.</summary>
    public const long Columns = 1024;

    /// <summary>R is a multiple of a block's length.</summary>
    public const long Multiple = 32 * Columns;

    private readonly DisposeScope scope = NewDisposeScope();
    private readonly Generator random;
    private readonly ScalarType type;
    private readonly Device device;

    /// <summary>Makes the data, the same each time; a dispose scope of the calling thread stays open until <see cref="Dispose"/>.</summary>
    /// <param name="elements">R * C, a multiple of <see cref="Multiple"/>.</param>
    /// <param name="type">fp32 or bf16.</param>
    /// <param name="device">Where.</param>
    public KernelInputs(long elements, ScalarType type, Device device) : this(type, device, i => i.Random(elements / Columns, Columns), x => 448 / x)
    {
    }

    /// <summary>Every bf16 number, each once, with scales of 1.</summary>
    /// <param name="type">fp32 or bf16.</param>
    /// <param name="device">Where.</param>
    public KernelInputs(ScalarType type, Device device) : this(type, device, _ => EveryBFloat16(type, device), x => ones_like(x))
    {
    }

    private KernelInputs(ScalarType type, Device device, Func<KernelInputs, Tensor> x, Func<Tensor, Tensor> scaleOf)
    {
        (this.type, this.device, random) = (type, device, new Generator(0, device));
        X = x(this);
        Scale = scaleOf(Kernels.Amax(X));
        RowScale = scaleOf(Kernels.AmaxAlong(X, 1));
        ColumnScale = scaleOf(Kernels.AmaxAlong(X, 0));
        Float8 = Kernels.Cast(X, Scale, Float8Format.E4M3);
        (BlockFloat8, BlockScales) = Kernels.CastBlocks(X, 1, 32, Float8Format.E4M3, ScaleRounding.RoundUp);
        // Rescaling by signs over and over leaves the product's magnitudes as they are, although the fused kernel writes into it.
        (SignPerRow, SignPerColumn) = (RandomBelow(2, X.shape[0], 1) * 2f - 1f, RandomBelow(2, 1, Columns) * 2f - 1f);
    }

    /// <summary>The fused casts for the device.</summary>
    public ICastKernels Kernels => FusedOn(device);

    /// <summary>[R, C].</summary>
    public Tensor X { get; }

    /// <summary>0-d fp32.</summary>
    public Tensor Scale { get; }

    /// <summary>[R, 1] fp32.</summary>
    public Tensor RowScale { get; }

    /// <summary>[1, C] fp32.</summary>
    public Tensor ColumnScale { get; }

    /// <summary>X in e4m3, [R, C].</summary>
    public Tensor Float8 { get; }

    /// <summary>X in e4m3 blocks along rows, [R, C].</summary>
    public Tensor BlockFloat8 { get; }

    /// <summary>Their scales, [R, C / 32] e8m0.</summary>
    public Tensor BlockScales { get; }

    /// <summary>[R, 1] fp32, 1 or -1.</summary>
    public Tensor SignPerRow { get; }

    /// <summary>[1, C] fp32, 1 or -1.</summary>
    public Tensor SignPerColumn { get; }

    private static Tensor EveryBFloat16(ScalarType type, Device device) =>
        AtenGateway.ViewDtype(arange(1 << 16, dtype: ScalarType.Int32).to(ScalarType.Int16), ScalarType.BFloat16).view(-1, Columns).to(type, device, copy: true);

    /// <summary>The fused casts for a device.</summary>
    public static ICastKernels FusedOn(Device device) => device.type == DeviceType.CUDA ? CastKernels.Cuda : CastKernels.Fused;

    /// <summary>More normally distributed numbers of X's dtype.</summary>
    public Tensor Random(params long[] shape)
    {
        using var numbers = randn(shape, device: device, generator: random);
        return numbers.to(type, copy: true);
    }

    /// <summary>Whole numbers from 0 to <paramref name="limit"/> - 1, int64.</summary>
    public Tensor RandomBelow(long limit, params long[] shape) => randint(0, limit, shape, dtype: ScalarType.Int64, device: device, generator: random);

    /// <summary>Disposes of tensors that belong to no scope together with the inputs.</summary>
    public void Keep(params Tensor[] tensors)
    {
        foreach (var tensor in tensors) scope.Attach(tensor);
    }

    /// <inheritdoc />
    public void Dispose()
    {
        scope.Dispose();
        random.Dispose();
    }
}
