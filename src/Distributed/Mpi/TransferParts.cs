namespace Titan.Distributed.Mpi;

/// <summary>One tensor of an all-gather.</summary>
/// <param name="Output">Address of all slices, in rank order.</param>
/// <param name="Input">Address of this rank's slice.</param>
/// <param name="Slice">Bytes.</param>
internal readonly record struct GatherPart(nint Output, nint Input, long Slice)
{
    public nint At(int rank) => (nint)(Output + rank * Slice);
}

/// <summary>One tensor of a reduce-scatter, or a piece of one.</summary>
/// <param name="Output">Address of this rank's result.</param>
/// <param name="Input">Address of what is for rank 0.</param>
/// <param name="Slice">Bytes.</param>
/// <param name="Stride">Bytes from what is for one rank to what is for the next.</param>
internal readonly record struct ScatterPart(nint Output, nint Input, long Slice, long Stride)
{
    public nint At(int rank) => (nint)(Input + rank * Stride);
}
