using Microsoft.Win32.SafeHandles;
using Titan.Kernels.Aten;
using static TorchSharp.torch;

namespace Titan.Training.Checkpoints;

/// <summary>Reads a box of a tensor in a file, row by row, where a row is what lies together: the inner dimensions that the box has all of, and one more.</summary>
internal static class BoxReader
{
    private const int Chunk = 1 << 24;

    /// <summary>Fills a tensor.</summary>
    /// <param name="file">The file.</param>
    /// <param name="entry">The tensor in the file.</param>
    /// <param name="box">Which part of it.</param>
    /// <param name="target">Contiguous, on the CPU, of the box's shape and the entry's dtype.</param>
    public static unsafe void Read(SafeFileHandle file, SafetensorsFile.Entry entry, Box box, Tensor target)
    {
        if (box.IsEmpty) return;
        var size = target.element_size();
        var outer = box.Shape.Count;
        long row = 1;
        while (outer > 0)
        {
            row *= box.Shape[--outer];
            if (box.Shape[outer] != entry.Shape[outer]) break;
        }

        var to = (byte*)TensorMemory.Address(target);
        var index = new long[outer];
        do
        {
            long from = 0;
            for (var d = 0; d < entry.Shape.Length; d++) from = from * entry.Shape[d] + box.Offset[d] + (d < outer ? index[d] : 0);
            ReadExactly(file, entry.Begin + from * size, to, row * size);
            to += row * size;
        }
        while (Next(index, box.Shape));
        GC.KeepAlive(target);
    }

    /// <summary>The next index of the outer dimensions; false after the last.</summary>
    private static bool Next(long[] index, IReadOnlyList<long> shape)
    {
        for (var d = index.Length - 1; d >= 0; d--)
        {
            if (++index[d] < shape[d]) return true;
            index[d] = 0;
        }

        return false;
    }

    private static unsafe void ReadExactly(SafeFileHandle file, long from, byte* to, long length)
    {
        for (long done = 0; done < length;)
        {
            var read = RandomAccess.Read(file, new Span<byte>(to + done, (int)Math.Min(Chunk, length - done)), from + done);
            if (read == 0) throw new EndOfStreamException("it ended while it was read");
            done += read;
        }
    }
}
