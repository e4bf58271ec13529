using System.Runtime.InteropServices;

namespace Titan.Distributed.Mpi;

/// <summary>Scratch memory that is kept between collectives: fresh pages cost more than the bytes that travel.</summary>
internal sealed unsafe class PageAlignedBuffer : IDisposable
{
    private const int Page = 4096;

    private void* memory;
    private long size;

    public nint AtLeast(long bytes)
    {
        if (bytes <= size) return (nint)memory;
        NativeMemory.AlignedFree(memory);
        size = 0;
        memory = NativeMemory.AlignedAlloc((nuint)bytes, Page);
        size = bytes;
        return (nint)memory;
    }

    public void Dispose()
    {
        NativeMemory.AlignedFree(memory);
        memory = null;
        size = 0;
    }
}
