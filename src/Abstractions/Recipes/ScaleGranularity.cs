namespace Titan.Abstractions;

/// <summary>Which elements of an operand share a scale.</summary>
public abstract record ScaleGranularity
{
    private ScaleGranularity() { }

    /// <summary>One scale for the whole tensor.</summary>
    public sealed record Tensorwise : ScaleGranularity
    {
        /// <inheritdoc />
        public override string ToString() => "ten";
    }

    /// <summary>One scale for each vector along the dimension that the matmul contracts.</summary>
    public sealed record Rowwise : ScaleGranularity
    {
        /// <inheritdoc />
        public override string ToString() => "axs";
    }

    /// <summary>One scale for each <paramref name="Length"/> consecutive elements along the dimension that the matmul contracts.</summary>
    /// <param name="Length">Elements in a block, for example 32 for MX.</param>
    public sealed record Block(int Length) : ScaleGranularity
    {
        /// <inheritdoc />
        public override string ToString() => $"blk{Length}";
    }

    /// <summary>One scale for each tile.</summary>
    /// <param name="Rows">Rows in a tile.</param>
    /// <param name="Columns">Columns in a tile, along the dimension that the matmul contracts.</param>
    public sealed record Tile(int Rows, int Columns) : ScaleGranularity
    {
        /// <inheritdoc />
        public override string ToString() => $"tile{Rows}x{Columns}";
    }
}
