using Titan.Abstractions;
using Titan.Quantization.Scaling;
using static TorchSharp.torch;

namespace Titan.Quantization.Grouped;

/// <summary>Multiplies float8 matrices group by group. Weights [E, N, K] come as matrices [E · N, K], whose groups are the N rows of each expert.</summary>
internal interface IGroupedFloat8Matmul
{
    /// <summary>Name for the report.</summary>
    string Name { get; }

    /// <summary>Whether it reads operands along the dimension that it contracts, and copies one that lies otherwise.</summary>
    bool ReadsAlongContracted { get; }

    /// <summary>Each group's rows by its own matrix: X · W[e]ᵀ, or G · W[e].</summary>
    /// <param name="rows">[M, I].</param>
    /// <param name="weight">[E · N, K]: I = K where it is transposed, else I = N.</param>
    /// <param name="isTransposed">Whether K is contracted.</param>
    /// <param name="groups">Divides M.</param>
    /// <param name="type">Dtype of the result.</param>
    /// <param name="fastAccumulation">Whether tensor cores may accumulate in their reduced precision.</param>
    /// <returns>[M, N] or [M, K]; rows of no group are 0.</returns>
    Tensor MultiplyRows(QuantizedTensor rows, QuantizedTensor weight, bool isTransposed, RowGroups groups, ScalarType type, bool fastAccumulation);

    /// <summary>G[e]ᵀ · X[e].</summary>
    /// <param name="left">G [M, N].</param>
    /// <param name="right">X [M, K].</param>
    /// <param name="groups">Divides M.</param>
    /// <param name="type">Dtype of the layer.</param>
    /// <param name="fastAccumulation">As above.</param>
    /// <param name="wide">Whether fp32 is wanted where the backend has more digits.</param>
    /// <returns>[E, N, K]; 0 for an empty group.</returns>
    Tensor MultiplyColumns(QuantizedTensor left, QuantizedTensor right, RowGroups groups, ScalarType type, bool fastAccumulation, bool wide);
}
