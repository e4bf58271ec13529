using static TorchSharp.torch;

namespace Titan.Kernels.Casts;

/// <summary>A matrix x [R, C] in float8 with fp32 scales: element = round(value * scale).</summary>
/// <param name="Data">[R, C], contiguous; null where only the other copy was asked for.</param>
/// <param name="Transposed">The same elements as a contiguous [C, R]; null where not asked for.</param>
/// <param name="Scale">fp32: [] one for all, [R, 1] one per row, [1, C] one per column, [E, C] one per group of rows and column; contiguous.</param>
/// <param name="Inverse">fl32(1 / scale), scale's shape: what a product is to be multiplied by.</param>
/// <param name="AmaxParts">fp32 [P], magnitudes whose maximum is the amax of x, where the cast found them on its way and they were not known before; else null.</param>
public sealed record ScaledCast(Tensor? Data, Tensor? Transposed, Tensor Scale, Tensor Inverse, Tensor? AmaxParts = null) : IDisposable
{
    /// <summary>The elements as [R, C], whichever copy there is: another handle.</summary>
    public Tensor Elements() => Data?.alias() ?? Transposed!.t();

    /// <inheritdoc />
    public void Dispose()
    {
        foreach (var tensor in (ReadOnlySpan<Tensor?>)[Data, Transposed, Scale, Inverse, AmaxParts]) tensor?.Dispose();
    }

    /// <summary>The tensors now belong to the dispose scope outside of the current one.</summary>
    internal ScaledCast MoveToOuterDisposeScope()
    {
        foreach (var tensor in (ReadOnlySpan<Tensor?>)[Data, Transposed, Scale, Inverse, AmaxParts]) tensor?.MoveToOuterDisposeScope();
        return this;
    }
}

/// <summary>A matrix in float8 blocks with e8m0 scales: value = element * 2^(byte - 127).</summary>
/// <param name="Data">[R, C], the dimension of the blocks filled up with zeros to whole blocks. Blocks along columns may lie transposed in memory: then this is a view, and its transpose is contiguous.</param>
/// <param name="Scale">e8m0, [R, C / L] or [R / L, C]; a view where <paramref name="Data"/> is one.</param>
/// <param name="Swizzled">The same scales as the block-scaled tensor cores read them: flat, a row of them per row (or column) of x, padded with zeros to tiles of 128 x 4; null where not asked for.</param>
public sealed record BlockCast(Tensor Data, Tensor Scale, Tensor? Swizzled = null) : IDisposable
{
    /// <inheritdoc />
    public void Dispose()
    {
        foreach (var tensor in (ReadOnlySpan<Tensor?>)[Data, Scale, Swizzled]) tensor?.Dispose();
    }

    /// <summary>The tensors now belong to the dispose scope outside of the current one.</summary>
    internal BlockCast MoveToOuterDisposeScope()
    {
        foreach (var tensor in (ReadOnlySpan<Tensor?>)[Data, Scale, Swizzled]) tensor?.MoveToOuterDisposeScope();
        return this;
    }
}
