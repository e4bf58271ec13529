using Titan.Abstractions;
using Titan.Kernels.Cuda;
using static TorchSharp.torch;

namespace Titan.Kernels.Casts;

/// <summary>
/// <see cref="CudaCasts"/> as the engine sees them. They are made when the first tensor comes, so that a recipe can be described where there is no GPU.
/// Blocks of another length than 32, which no shipped recipe has, go the plain way.
/// </summary>
internal sealed class CudaCastKernels(Func<CudaCasts> create) : ITransposingCastKernels
{
    private readonly Lazy<CudaCasts> casts = new(create);

    public string Name => "cuda";

    public bool JoinsCasts(bool blocks) => true;

    public Tensor Amax(Tensor x) => casts.Value.Amax(x);

    public Tensor AmaxAlong(Tensor x, int dimension) => dimension == 1 ? casts.Value.AmaxRows(x) : casts.Value.AmaxColumns(x);

    public Tensor Cast(Tensor x, Tensor scale, Float8Format format) => casts.Value.Cast(x, scale, format);

    public Tensor CastTransposed(Tensor x, Tensor scale, Float8Format format) => casts.Value.CastTransposed(x, scale, format);

    public (Tensor Data, Tensor Transposed) CastBoth(Tensor x, Tensor scale, Float8Format format) => casts.Value.CastBoth(x, scale, format);

    public (Tensor Data, Tensor Scale) CastBlocks(Tensor x, int dimension, int length, Float8Format format, ScaleRounding rounding)
    {
        if (length != 32) return CastKernels.Plain.CastBlocks(x, dimension, length, format, rounding);
        if (dimension == 1) return casts.Value.MxRows(x, format, rounding);
        // Written transposed, which is how the tensor cores want the operands of grad_weight; seen here the right way round.
        var (data, scales) = casts.Value.MxColumns(x, format, rounding);
        using (data)
        using (scales) return (data.t(), scales.t());
    }

    public Tensor AmaxParts(Tensor x) => casts.Value.AmaxParts(x);

    public ScaledCast CastTensor(Tensor x, Tensor? amaxParts, CastTarget target, OperandLayout layout) =>
        x.numel() == 0 ? CastChain.WithOneScale(this, x, amaxParts, target, layout) : casts.Value.CastTensor(x, amaxParts, target, layout);

    public ScaledCast CastRows(Tensor x, CastTarget target) =>
        x.numel() == 0 ? CastChain.Along(this, x, 1, target, OperandLayout.Rows) : casts.Value.CastRows(x, target);

    public ScaledCast CastColumns(Tensor x, CastTarget target, OperandLayout layout) =>
        x.numel() == 0 ? CastChain.Along(this, x, 0, target, layout) : casts.Value.CastColumns(x, target, layout);

    public (ScaledCast Rows, ScaledCast Columns) CastRowsAndColumns(Tensor x, CastTarget rows, CastTarget columns, OperandLayout columnLayout) =>
        x.numel() == 0 ? (CastRows(x, rows), CastColumns(x, columns, columnLayout)) : casts.Value.CastRowsAndColumns(x, rows, columns, columnLayout);

    public ScaledCast CastGroups(Tensor x, RowGroups groups, CastTarget target, OperandLayout layout) =>
        x.numel() == 0 || groups.Count == 0 ? CastChain.Groups(this, x, groups, target, layout) : casts.Value.CastGroups(x, groups, target, layout);

    public void ClearRows(Tensor x, RowGroups groups) => casts.Value.ClearRows(x, groups);

    public (BlockCast? Rows, BlockCast? Columns) CastBlocks(Tensor x, int length, CastTarget? rows, CastTarget? columns, bool swizzled) =>
        length == 32 && x.numel() > 0 ? casts.Value.CastBlocks(x, rows, columns, swizzled)
        : (rows is { } r ? CastChain.Blocks(this, x, 1, length, r, swizzled) : null, columns is { } c ? CastChain.Blocks(this, x, 0, length, c, swizzled) : null);

    public Tensor Decode(Tensor data, ScalarType type) => casts.Value.Decode(data, type);

    public Tensor DecodeBlocks(Tensor data, Tensor scale, ScalarType type) => casts.Value.DecodeBlocks(data, scale, type);

    public Tensor Rescale(Tensor product, Tensor left, Tensor right, ScalarType type) => casts.Value.Rescale(product, left, right, type);
}
