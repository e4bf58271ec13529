using Microsoft.Win32.SafeHandles;
using Titan.Kernels.Aten;
using static TorchSharp.torch;

namespace Titan.Training.Checkpoints;

/// <summary>Reads a box of a tensor in a file, run by run.</summary>
internal static class BoxReader
{
    private const int Chunk = 1 << 24;

    /// <summary>Fills a tensor.</summary>
    /// <param name="file">The file.</param>
    /// <param name="entry">The tensor in the file.</param>
    /// <param name="box">Which part of it.</param>
    /// <param name="target">Contiguous, on the CPU, of the box's shape and the entry's dtype.</param>
    /// <returns>The bytes that were read.</returns>
    public static unsafe long Read(SafeFileHandle file, SafetensorsFile.Entry entry, Box box, Tensor target)
    {
        var size = target.element_size();
        var to = (byte*)TensorMemory.Address(target);
        long bytes = 0;
        foreach (var (begin, length) in box.Runs(entry.Shape)) bytes += ReadExactly(file, entry.Begin + begin * size, to + bytes, length * size);
        GC.KeepAlive(target);
        return bytes;
    }

    private static unsafe long ReadExactly(SafeFileHandle file, long from, byte* to, long length)
    {
        long done = 0;
        while (done < length)
        {
            var read = RandomAccess.Read(file, new Span<byte>(to + done, (int)Math.Min(Chunk, length - done)), from + done);
            if (read == 0) throw new EndOfStreamException("it ended while it was read");
            done += read;
        }

        return done;
    }
}
