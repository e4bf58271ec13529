using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>A message between two ranks of a group, as one of them sees it (c10d's <c>P2POp</c>).</summary>
/// <param name="Tensor">What is sent, or where to put what is received.</param>
/// <param name="Peer">The other rank, its position in the group.</param>
/// <param name="IsSend">Whether this rank sends it.</param>
/// <param name="Tag">Tells messages between the same two ranks apart.</param>
public sealed record PointToPoint(Tensor Tensor, int Peer, bool IsSend, int Tag)
{
    /// <summary>The largest tag: what every MPI library serves, for two messages each.</summary>
    public const int LargestTag = 16_000;

    /// <summary>A message to a rank.</summary>
    public static PointToPoint Send(Tensor tensor, int destination, int tag = 0) => new(tensor, destination, true, tag);

    /// <summary>A message from a rank.</summary>
    public static PointToPoint Receive(Tensor tensor, int source, int tag = 0) => new(tensor, source, false, tag);
}
