using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace Titan.Kernels.Matmuls;

/// <summary>Buffers of one size that products borrow. They stay for the life of the process, as many as were ever in use at once; memory that no product has written to costs nothing.</summary>
/// <param name="floats">Size of a buffer.</param>
internal sealed unsafe class Scratch(int floats)
{
    private readonly ConcurrentBag<nint> free = [];

    /// <summary>A buffer with any contents, on a cache line's border.</summary>
    public float* Rent() => free.TryTake(out var buffer) ? (float*)buffer : (float*)NativeMemory.AlignedAlloc(sizeof(float) * (nuint)floats, 64);

    /// <summary>Gives it back.</summary>
    public void Return(float* buffer) => free.Add((nint)buffer);
}
