using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.Casts;
using Titan.Quantization.Measurement;
using Titan.Training.Loop;
using TorchSharp;
using static TorchSharp.torch;

namespace Titan.Benchmarks;

/// <summary>What the kernel cases work on: a random matrix X[R,C], its scales, and the matrix cast.</summary>
public sealed class KernelInputs : IDisposable
{
    /// <summary>C, unless another is asked for.</summary>
    public const long DefaultColumns = 1024;

    /// <summary>The least matrix with that many columns: R is a multiple of a block's length.</summary>
    public const long Multiple = Block * DefaultColumns;

    /// <summary>Elements in a block that shares a scale.</summary>
    public const long Block = 32;

    private readonly DisposeScope scope = NewDisposeScope();
    private readonly SeededNumbers random;
    private readonly ScalarType type;

    /// <summary>Makes the data, the same each time; a dispose scope of the calling thread stays open until <see cref="Dispose"/>.</summary>
    /// <param name="elements">R * C, a multiple of C times <see cref="Block"/>.</param>
    /// <param name="type">fp32 or bf16.</param>
    /// <param name="where">The device.</param>
    /// <param name="columns">C.</param>
    public KernelInputs(long elements, ScalarType type, TrainingDevice where, long columns = DefaultColumns)
        : this(type, where, columns, i => i.Random(elements / columns, columns), x => 448 / x)
    {
    }

    /// <summary>Every bf16 number, each once, with scales of 1.</summary>
    /// <param name="type">fp32 or bf16.</param>
    /// <param name="where">The device.</param>
    public KernelInputs(ScalarType type, TrainingDevice where) : this(type, where, DefaultColumns, _ => EveryBFloat16(type, where.Device), x => ones_like(x))
    {
    }

    private KernelInputs(ScalarType type, TrainingDevice where, long columns, Func<KernelInputs, Tensor> x, Func<Tensor, Tensor> scaleOf)
    {
        (this.type, Kernels, Columns, random) = (type, FusedOn(where), columns, new SeededNumbers(0, where.Device));
        X = x(this);
        Scale = scaleOf(Kernels.Amax(X));
        RowScale = scaleOf(Kernels.AmaxAlong(X, 1));
        ColumnScale = scaleOf(Kernels.AmaxAlong(X, 0));
        Float8 = Kernels.Cast(X, Scale, Float8Format.E4M3);
        (BlockFloat8, BlockScales) = Kernels.CastBlocks(X, 1, 32, Float8Format.E4M3, ScaleRounding.RoundUp);
        // Rescaling by signs over and over leaves the product's magnitudes as they are, although the fused kernel writes into it.
        (SignPerRow, SignPerColumn) = (RandomBelow(2, X.shape[0], 1) * 2f - 1f, RandomBelow(2, 1, Columns) * 2f - 1f);
    }

    /// <summary>C.</summary>
    public long Columns { get; }

    /// <summary>The fused casts for the device.</summary>
    public ICastKernels Kernels { get; }

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
        AtenGateway.ViewDtype(arange(1 << 16, dtype: ScalarType.Int32).to(ScalarType.Int16), ScalarType.BFloat16).view(-1, DefaultColumns).to(type, device, copy: true);

    /// <summary>The fused casts for a device.</summary>
    public static ICastKernels FusedOn(TrainingDevice where) => where.Capability.IsCuda ? CastKernels.Cuda : CastKernels.Fused;

    /// <summary>More normally distributed numbers of X's dtype.</summary>
    public Tensor Random(params long[] shape) => random.Normal(type, shape);

    /// <summary>Whole numbers from 0 to <paramref name="limit"/> - 1, int64.</summary>
    public Tensor RandomBelow(long limit, params long[] shape) => random.Below(limit, shape);

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
