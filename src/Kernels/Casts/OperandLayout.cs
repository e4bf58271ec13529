namespace Titan.Kernels.Casts;

/// <summary>How the bytes of a float8 operand lie. The tensor cores read a left operand along its rows and a right one along its columns.</summary>
public enum OperandLayout
{
    /// <summary>One copy, along rows.</summary>
    Rows,

    /// <summary>One copy, along columns.</summary>
    Columns,

    /// <summary>Two copies, one along rows and one along columns.</summary>
    Both,
}
