using Titan.Abstractions;
using Titan.Kernels.Cuda;
using Titan.Kernels.Simd;
using static TorchSharp.torch;

namespace Titan.Kernels.Casts;

/// <summary>The work of a float8 recipe on the elements of a matrix. Every implementation gives the same bytes; they differ in speed.</summary>
public interface ICastKernels
{
    /// <summary>Name for reports.</summary>
    string Name { get; }

    /// <summary>Whether casts along rows and along columns pass over the matrix once less together than one by one.</summary>
    /// <param name="blocks">Of <see cref="CastBlocks(Tensor, int, CastTarget?, CastTarget?, bool)"/>; else of <see cref="CastRowsAndColumns"/>.</param>
    bool JoinsCasts(bool blocks) => false;

    /// <summary>The largest magnitude in x: 0-d fp32. NaN if x holds one.</summary>
    Tensor Amax(Tensor x);

    /// <summary>The largest magnitude of each vector along a dimension.</summary>
    /// <param name="x">[R, C] fp32 or bf16.</param>
    /// <param name="dimension">The dimension that is reduced away: 1 gives [R, 1], 0 gives [1, C].</param>
    /// <returns>fp32; zeros where the dimension is empty.</returns>
    Tensor AmaxAlong(Tensor x, int dimension);

    /// <summary>round(clamp(x * scale)) to float8, nearest even. NaN stays NaN.</summary>
    /// <param name="x">[...] fp32 or bf16.</param>
    /// <param name="scale">0-d fp32, or fp32 that broadcasts over x.</param>
    /// <param name="format">The element format.</param>
    /// <returns>Contiguous, x's shape.</returns>
    Tensor Cast(Tensor x, Tensor scale, Float8Format format);

    /// <summary>Casts blocks of consecutive elements, each with an e8m0 scale of its own (OCP microscaling; numbers as <see cref="BlockScale"/> says).</summary>
    /// <param name="x">[R, C] fp32 or bf16; the dimension of the blocks is a multiple of their length.</param>
    /// <param name="dimension">The dimension along which a block lies, the one that the matmul contracts.</param>
    /// <param name="length">Elements in a block.</param>
    /// <param name="format">The element format.</param>
    /// <param name="rounding">Floor, Ceil, Even or RoundUp.</param>
    /// <returns>The elements [R, C] and the scale bytes, [R, C / length] or [R / length, C] in e8m0; value = element * 2^(byte - 127).</returns>
    (Tensor Data, Tensor Scale) CastBlocks(Tensor x, int dimension, int length, Float8Format format, ScaleRounding rounding);

    /// <summary>The exact values of float8 elements.</summary>
    /// <param name="data">Float8, any shape.</param>
    /// <param name="type">bf16 or fp32, both hold every float8 value.</param>
    Tensor Decode(Tensor data, ScalarType type);

    /// <summary>The values of elements with fp32 scales: element * inverse, rounded once; exact where scales are powers of two and the values are within the range of <paramref name="type"/>.</summary>
    /// <param name="data">[R, C] float8.</param>
    /// <param name="inverse">fp32 [R, 1] or [1, C], what an element is multiplied by.</param>
    /// <param name="type">bf16 or fp32.</param>
    Tensor DecodeScaled(Tensor data, Tensor inverse, ScalarType type)
    {
        using var wide = Decode(data, ScalarType.Float32);
        using var values = wide.mul(inverse);
        return values.to(type);
    }

    /// <summary>The values of block-scaled elements: element * 2^(byte - 127); exact but for magnitudes that <paramref name="type"/> cannot hold (below 2^-126).</summary>
    /// <param name="data">[R, C] float8.</param>
    /// <param name="scale">e8m0, [R, C / L] or [R / L, C].</param>
    /// <param name="type">bf16 or fp32.</param>
    Tensor DecodeBlocks(Tensor data, Tensor scale, ScalarType type);

    /// <summary>product * left * right in fp32, rounded once: gives a product of scaled operands its scale back.</summary>
    /// <param name="product">[R, C] bf16 or fp32; overwritten where the result fits into it.</param>
    /// <param name="left">fp32: 0-d or [R, 1].</param>
    /// <param name="right">fp32: 0-d or [1, C].</param>
    /// <param name="type">Dtype of the result.</param>
    Tensor Rescale(Tensor product, Tensor left, Tensor right, ScalarType type);

    /// <summary>Sets the rows of no group to 0, in place; the others are not touched.</summary>
    /// <param name="x">[M, C] bf16 or fp32, contiguous.</param>
    /// <param name="groups">Divides M.</param>
    void ClearRows(Tensor x, RowGroups groups)
    {
        using var scope = NewDisposeScope();
        var rows = x.shape[0];
        var end = groups.Count == 0 ? 0 : groups.HostEnds[^1];
        if (end < rows) x.narrow(0, end, rows - end).zero_();
    }

    /// <summary>Magnitudes whose maximum is the amax of x: one for each block of the kernel that looks for it, so that nothing has to join them.</summary>
    /// <param name="x">[...] fp32 or bf16.</param>
    /// <returns>fp32 [P], P at least 1; NaN among them if x holds one.</returns>
    Tensor AmaxParts(Tensor x)
    {
        using var amax = Amax(x);
        return amax.reshape([1]);
    }

    /// <summary>A cast with one scale: scale = max / amax as <see cref="ScaleMath"/> says, element = round(clamp(x * scale)).</summary>
    /// <param name="x">[R, C] fp32 or bf16.</param>
    /// <param name="amaxParts">fp32, any shape with at least one element: magnitudes whose maximum is the amax (NaN wins); null to find it here, by one more pass over x.</param>
    /// <param name="target">Format, and rounding <see cref="ScaleRounding.None"/> or <see cref="ScaleRounding.PowerOfTwo"/>.</param>
    /// <param name="layout">Which copies of the elements are written.</param>
    /// <returns>Scale and inverse 0-d.</returns>
    ScaledCast CastTensor(Tensor x, Tensor? amaxParts, CastTarget target, OperandLayout layout = OperandLayout.Rows) =>
        CastChain.WithOneScale(this, x, amaxParts, target, layout);

    /// <summary>A cast with a scale per row.</summary>
    /// <param name="x">[R, C] fp32 or bf16.</param>
    /// <param name="target">As in <see cref="CastTensor"/>.</param>
    /// <returns>Data [R, C]; scale and inverse [R, 1].</returns>
    ScaledCast CastRows(Tensor x, CastTarget target) => CastChain.Along(this, x, 1, target, OperandLayout.Rows);

    /// <summary>A cast with a scale per column.</summary>
    /// <param name="x">[R, C] fp32 or bf16.</param>
    /// <param name="target">As in <see cref="CastTensor"/>.</param>
    /// <param name="layout">Which copies of the elements are written.</param>
    /// <returns>Scale and inverse [1, C].</returns>
    ScaledCast CastColumns(Tensor x, CastTarget target, OperandLayout layout = OperandLayout.Columns) => CastChain.Along(this, x, 0, target, layout);

    /// <summary>Both for a tensor that two matmuls read, one with scales per row and one with scales per column.</summary>
    /// <param name="x">[R, C] fp32 or bf16.</param>
    /// <param name="rows">Of the cast per row, which lies along rows.</param>
    /// <param name="columns">Of the cast per column.</param>
    /// <param name="columnLayout">Which copies of the cast per column are written.</param>
    (ScaledCast Rows, ScaledCast Columns) CastRowsAndColumns(Tensor x, CastTarget rows, CastTarget columns, OperandLayout columnLayout = OperandLayout.Columns) =>
        (CastRows(x, rows), CastColumns(x, columns, columnLayout));

    /// <summary>A cast with a scale per group of rows and column: of each group what <see cref="CastColumns"/> makes of its rows alone. Rows of no group become 0; an empty group has the scales of zeros.</summary>
    /// <param name="x">[R, C] fp32 or bf16.</param>
    /// <param name="groups">Divides R.</param>
    /// <param name="target">As in <see cref="CastTensor"/>.</param>
    /// <param name="layout">Which copies of the elements are written.</param>
    /// <returns>Scale and inverse [E, C].</returns>
    ScaledCast CastGroups(Tensor x, RowGroups groups, CastTarget target, OperandLayout layout = OperandLayout.Columns) => CastChain.Groups(this, x, groups, target, layout);

    /// <summary>Casts to blocks along rows, along columns, or both; numbers as in <see cref="CastBlocks(Tensor, int, int, Float8Format, ScaleRounding)"/>.</summary>
    /// <param name="x">[R, C] fp32 or bf16. A dimension that blocks lie along is filled up with zeros to whole blocks.</param>
    /// <param name="length">Elements in a block.</param>
    /// <param name="rows">Of blocks along rows; null for none.</param>
    /// <param name="columns">Of blocks along columns; null for none.</param>
    /// <param name="swizzled">Whether the scales are also wanted in the layout of the block-scaled tensor cores.</param>
    /// <returns>Each null where it was not asked for.</returns>
    (BlockCast? Rows, BlockCast? Columns) CastBlocks(Tensor x, int length, CastTarget? rows, CastTarget? columns, bool swizzled = false) =>
        (rows is { } r ? CastChain.Blocks(this, x, 1, length, r, swizzled) : null, columns is { } c ? CastChain.Blocks(this, x, 0, length, c, swizzled) : null);
}

/// <summary>Casts that can also write the transposed matrix: the tensor cores read a right operand along its columns, and what lies so already need not be copied.</summary>
public interface ITransposingCastKernels : ICastKernels
{
    /// <summary>As <see cref="ICastKernels.Cast"/>, written transposed.</summary>
    /// <param name="x">[R, C] fp32 or bf16.</param>
    /// <param name="scale">fp32: one, [R, 1] or [1, C].</param>
    /// <param name="format">The element format.</param>
    /// <returns>Contiguous [C, R].</returns>
    Tensor CastTransposed(Tensor x, Tensor scale, Float8Format format);

    /// <summary>As <see cref="ICastKernels.Cast"/> and <see cref="CastTransposed"/>, both in one pass.</summary>
    (Tensor Data, Tensor Transposed) CastBoth(Tensor x, Tensor scale, Float8Format format);
}

/// <summary>The implementations.</summary>
public static class CastKernels
{
    /// <summary>A chain of plain ATen operations: slow, short, the oracle of all others.</summary>
    public static ICastKernels Plain { get; } = new PlainCasts();

    /// <summary>One pass over the data, in SIMD, on the CPU.</summary>
    public static ICastKernels Fused { get; } = new FusedCasts(SimdPaths.Best);

    /// <summary>CUDA kernels of the project's own, compiled at run time.</summary>
    public static ICastKernels Cuda { get; } = new CudaCastKernels(CudaCasts.Create);
}
