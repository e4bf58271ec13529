using Titan.Abstractions;
using Titan.Kernels.Casts;
using static TorchSharp.torch;

namespace Titan.Host.Bench;

/// <summary>What the kernel cases work on: a random matrix X[R,C], its scales, and the matrix cast.</summary>
public sealed class KernelInputs : IDisposable
{
    /// <summary>C.</summary>
    public const long Columns = 1024;

    /// <summary>R is a multiple of a block's length.</summary>
    public const long Multiple = 32 * Columns;

    private readonly TorchSharp.DisposeScope scope = NewDisposeScope();

    /// <summary>Makes the data.</summary>
    /// <param name="elements">R * C.</param>
    /// <param name="type">fp32 or bf16.</param>
    public KernelInputs(long elements, ScalarType type)
    {
        using var random = new Generator(0);
        X = randn([elements / Columns, Columns], generator: random).to(type);
        var kernels = CastKernels.Fused;
        Scale = 448 / kernels.Amax(X);
        RowScale = 448 / kernels.AmaxAlong(X, 1);
        ColumnScale = 448 / kernels.AmaxAlong(X, 0);
        Float8 = kernels.Cast(X, Scale, Float8Format.E4M3);
        (BlockFloat8, BlockScales) = kernels.CastBlocks(X, 1, 32, Float8Format.E4M3, ScaleRounding.RoundUp);
        // Rescaling by one over and over leaves the product as it is, although the fused kernel writes into it.
        (OnePerRow, OnePerColumn) = (ones(X.shape[0], 1), ones(1, Columns));
    }

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

    /// <summary>[R, 1] fp32.</summary>
    public Tensor OnePerRow { get; }

    /// <summary>[1, C] fp32.</summary>
    public Tensor OnePerColumn { get; }

    /// <inheritdoc />
    public void Dispose() => scope.Dispose();
}
