namespace Titan.Distributed.Mpi;

/// <summary>One tensor of an all-gather.</summary>
/// <param name="Output">Address of all slices, in rank order.</param>
/// <param name="Input">Address of this rank's slice.</param>
/// <param name="Slice">Bytes.</param>
internal readonly record struct GatherPart(nint Output, nint Input, long Slice)
{
    public nint At(int rank) => (nint)(Output + rank * Slice);
}

/// <summary>A message to or from a rank.</summary>
/// <param name="Address">Of the tensor.</param>
/// <param name="Bytes">Its length.</param>
/// <param name="Type">libtorch's scalar type.</param>
/// <param name="Peer">The other rank's position.</param>
/// <param name="Tag">Tells messages between the same two ranks apart.</param>
/// <param name="IsSend">Whether it leaves.</param>
internal readonly record struct Message(nint Address, long Bytes, int Type, int Peer, int Tag, bool IsSend);

/// <summary>One tensor of a reduce-scatter, or a piece of one.</summary>
/// <param name="Output">Address of this rank's result.</param>
/// <param name="Input">Address of what is for rank 0.</param>
/// <param name="Slice">Bytes.</param>
/// <param name="Stride">Bytes from what is for one rank to what is for the next.</param>
internal readonly record struct ScatterPart(nint Output, nint Input, long Slice, long Stride)
{
    public nint At(int rank) => (nint)(Input + rank * Stride);
}
