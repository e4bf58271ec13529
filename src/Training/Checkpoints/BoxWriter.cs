using Microsoft.Win32.SafeHandles;
using Titan.Kernels.Aten;
using static TorchSharp.torch;

namespace Titan.Training.Checkpoints;

/// <summary>Writes a box of a tensor to its place in a file, run by run: several ranks may fill one file.</summary>
internal static class BoxWriter
{
    private const int Chunk = 1 << 24;

    /// <summary>Writes a box.</summary>
    /// <param name="file">The file.</param>
    /// <param name="begin">Where the whole tensor begins in it, in bytes.</param>
    /// <param name="whole">The whole tensor's shape.</param>
    /// <param name="box">Which part of it.</param>
    /// <param name="source">The part: contiguous, on the CPU, of the box's shape.</param>
    public static unsafe void Write(SafeFileHandle file, long begin, IReadOnlyList<long> whole, Box box, Tensor source)
    {
        var size = source.element_size();
        var from = (byte*)TensorMemory.Address(source);
        foreach (var (element, length) in box.Runs(whole))
        {
            for (long at = 0; at < length * size; at += Chunk)
                RandomAccess.Write(file, new ReadOnlySpan<byte>(from + at, (int)Math.Min(Chunk, length * size - at)), begin + element * size + at);
            from += length * size;
        }

        GC.KeepAlive(source);
    }
}
