namespace Titan.Abstractions;

/// <summary>One matmul, left · right, each operand cast along the dimension that the matmul contracts.</summary>
/// <param name="Left">Cast of the left operand.</param>
/// <param name="Right">Cast of the right operand.</param>
/// <param name="FastAccumulation">Let the tensor cores accumulate in their reduced precision; ignored by backends that have no such mode.</param>
public sealed record MatmulRecipe(OperandCast Left, OperandCast Right, bool FastAccumulation = false)
{
    /// <summary>Both operands stay in high precision.</summary>
    public static MatmulRecipe HighPrecision { get; } = new(OperandCast.None, OperandCast.None);

    /// <summary>Whether the operands are left as they are.</summary>
    public bool IsHighPrecision => Left is OperandCast.HighPrecision && Right is OperandCast.HighPrecision;
}
