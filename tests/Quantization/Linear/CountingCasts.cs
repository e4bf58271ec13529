using Titan.Abstractions;
using Titan.Kernels.Casts;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests.Linear;

/// <summary>The plain casts, which count the matrices of each shape that they cast.</summary>
internal sealed class CountingCasts : ICastKernels
{
    private readonly List<(long, long)> shapes = [], joined = [];

    public string Name => "counting";

    public bool Joins { get; init; }

    public bool JoinsCasts(bool blocks) => Joins;

    public int Casts(long rows, long columns) => shapes.Count(s => s == (rows, columns));

    /// <summary>Casts along rows and along columns that were asked for together.</summary>
    public int Joined(long rows, long columns) => joined.Count(s => s == (rows, columns));

    public (ScaledCast Rows, ScaledCast Columns) CastRowsAndColumns(Tensor x, CastTarget rows, CastTarget columns, OperandLayout columnLayout)
    {
        joined.Add((x.shape[0], x.shape[1]));
        ICastKernels one = this;
        return (one.CastRows(x, rows), one.CastColumns(x, columns, columnLayout));
    }

    public Tensor Amax(Tensor x) => CastKernels.Plain.Amax(x);

    public Tensor AmaxAlong(Tensor x, int dimension) => CastKernels.Plain.AmaxAlong(x, dimension);

    public Tensor Cast(Tensor x, Tensor scale, Float8Format format)
    {
        shapes.Add((x.shape[0], x.shape[1]));
        return CastKernels.Plain.Cast(x, scale, format);
    }

    public (Tensor Data, Tensor Scale) CastBlocks(Tensor x, int dimension, int length, Float8Format format, ScaleRounding rounding) =>
        CastKernels.Plain.CastBlocks(x, dimension, length, format, rounding);

    public Tensor Decode(Tensor data, ScalarType type) => CastKernels.Plain.Decode(data, type);

    public Tensor DecodeBlocks(Tensor data, Tensor scale, ScalarType type) => CastKernels.Plain.DecodeBlocks(data, scale, type);

    public Tensor Rescale(Tensor product, Tensor left, Tensor right, ScalarType type) => CastKernels.Plain.Rescale(product, left, right, type);
}
