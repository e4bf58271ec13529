using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Training.Files;
using static TorchSharp.torch;

namespace Titan.Training.Checkpoints;

/// <summary>
/// The safetensors format: 8 bytes of header length, a JSON header (name, dtype, shape, offsets), then the tensors' bytes, little endian.
/// Source: the format's specification, huggingface/safetensors. Where a tensor is a part of a larger one, the header's metadata says which: under <c>part.NAME</c> the
/// shape of the whole and where in it the part begins.
/// </summary>
public static class SafetensorsFile
{
    private const int Chunk = 1 << 24;

    /// <summary>A tensor's place in a file.</summary>
    /// <param name="Type">Its dtype.</param>
    /// <param name="Shape">Its shape.</param>
    /// <param name="Begin">First byte, from the start of the file.</param>
    /// <param name="Length">Bytes.</param>
    public sealed record Entry(ScalarType Type, long[] Shape, long Begin, long Length)
    {
        /// <summary>Which part of a whole tensor it is.</summary>
        public ShardLayout Layout { get; init; } = ShardLayout.Whole(Shape);
    }

    /// <summary>Writes tensors and returns the file's SHA-256. The file is on the disk when this returns.</summary>
    /// <param name="path">A new file.</param>
    /// <param name="tensors">In any layout and on any device; written contiguous.</param>
    public static string Write(string path, IReadOnlyList<(string Name, Tensor Tensor)> tensors)
    {
        using var file = new HashedFile(HashedFile.Create(path));
        return Write(file, [.. tensors.Select(t => TensorPart.Whole(t.Name, t.Tensor))]);
    }

    internal static string Write(HashedFile file, IReadOnlyList<TensorPart> tensors) =>
        Write(file, [.. tensors.Select(t => new WrittenTensor(t.Name, t.Tensor.dtype, t.Layout, () => [t.Tensor.detach().cpu().contiguous()]))]);

    /// <summary>Writes tensors a chunk at a time.</summary>
    internal static string Write(HashedFile file, IReadOnlyList<WrittenTensor> tensors)
    {
        file.Write(SafetensorsHeader.Compose(tensors, new Dictionary<string, string>()));
        foreach (var tensor in tensors)
        {
            foreach (var chunk in tensor.Chunks())
            {
                using (chunk) WriteBytes(file, chunk);
            }

            Failpoint.Hit("mid-tensors");
        }

        return file.Finish();
    }

    /// <summary>Reads the header and checks all of it against the file's length.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> for anything that is not a well-formed safetensors file.</exception>
    public static IReadOnlyDictionary<string, Entry> ReadHeader(string path)
    {
        try
        {
            using var stream = RegularFile.OpenRead(path);
            return SafetensorsHeader.Read(stream);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or InvalidOperationException or InvalidDataException)
        {
            throw new TitanException(ExitCode.Data, $"'{path}' is not a readable safetensors file: {e.Message}", e);
        }
    }

    /// <summary>Copies one tensor's bytes into <paramref name="target"/>, which has its shape, and any dtype.</summary>
    public static void ReadInto(string path, Entry entry, Tensor target)
    {
        using var file = RegularFile.OpenRead(path);
        ReadInto(file.SafeFileHandle, entry, new Box(new long[entry.Shape.Length], entry.Shape), target);
    }

    /// <summary>Copies a box of one tensor into <paramref name="target"/>, which has the box's shape, and any dtype. Nothing but the box is read.</summary>
    /// <param name="file">The file.</param>
    /// <param name="entry">The tensor.</param>
    /// <param name="box">Which part of the entry, counted from the entry's own begin.</param>
    /// <param name="target">Where to.</param>
    /// <returns>The bytes that were read.</returns>
    internal static long ReadInto(SafeFileHandle file, Entry entry, Box box, Tensor target)
    {
        using var none = no_grad();
        using var read = empty([.. box.Shape], dtype: entry.Type);
        var bytes = BoxReader.Read(file, entry, box, read);
        target.copy_(read);
        return bytes;
    }

    /// <summary>Reads one tensor.</summary>
    public static Tensor Read(string path, Entry entry)
    {
        var target = empty(entry.Shape, dtype: entry.Type);
        ReadInto(path, entry, target);
        return target;
    }

    private static unsafe void WriteBytes(HashedFile file, Tensor tensor)
    {
        var address = (byte*)TensorMemory.Address(tensor);
        var length = tensor.numel() * tensor.element_size();
        for (long at = 0; at < length; at += Chunk) file.Write(new ReadOnlySpan<byte>(address + at, (int)Math.Min(Chunk, length - at)));
        GC.KeepAlive(tensor);
    }

    /// <summary>A tensor, or a part of one, that is to be written.</summary>
    /// <param name="Name">The whole tensor's name.</param>
    /// <param name="Type">Its dtype.</param>
    /// <param name="Layout">Which part it is.</param>
    /// <param name="Chunks">Makes its elements, in their order, in as many contiguous CPU tensors as the caller likes; each is disposed of once it is written.</param>
    internal sealed record WrittenTensor(string Name, ScalarType Type, ShardLayout Layout, Func<IEnumerable<Tensor>> Chunks);

    /// <summary>Hashes what it writes, and syncs the file at the end.</summary>
    internal sealed class HashedFile(FileStream stream) : IDisposable
    {
        private readonly IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);

        public static FileStream Create(string path) => new(path, FileMode.CreateNew, FileAccess.Write);

        public void Write(ReadOnlySpan<byte> bytes)
        {
            hash.AppendData(bytes);
            try
            {
                stream.Write(bytes);
            }
            catch (ArgumentOutOfRangeException e)
            {
                // What .NET makes of EFBIG.
                throw new IOException($"'{stream.Name}' would be larger than the file system, or a limit of this user, allows", e);
            }
        }

        public string Finish()
        {
            stream.Flush(flushToDisk: true);
            return System.Convert.ToHexStringLower(hash.GetHashAndReset());
        }

        public void Dispose()
        {
            stream.Dispose();
            hash.Dispose();
        }
    }
}
