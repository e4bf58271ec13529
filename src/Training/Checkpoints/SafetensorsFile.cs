using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using Titan.Abstractions;
using Titan.Kernels.Aten;
using static TorchSharp.torch;

namespace Titan.Training.Checkpoints;

/// <summary>
/// The safetensors format: 8 bytes of header length, a JSON header (name, dtype, shape, offsets), then the tensors' bytes, little endian.
/// Source: the format's specification, huggingface/safetensors. Where a tensor is a part of a larger one, the header's metadata says which: under <c>part.NAME</c> the
/// shape of the whole and where in it the part begins.
/// </summary>
public static class SafetensorsFile
{
    private const long LargestHeader = 100L << 20;
    private const int Chunk = 1 << 24;
    private const string Metadata = "__metadata__", PartKey = "part.";

    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web);

    private static readonly Dictionary<string, (ScalarType Type, int Size)> Types = new()
    {
        ["F64"] = (ScalarType.Float64, 8), ["F32"] = (ScalarType.Float32, 4), ["F16"] = (ScalarType.Float16, 2), ["BF16"] = (ScalarType.BFloat16, 2),
        ["I64"] = (ScalarType.Int64, 8), ["I32"] = (ScalarType.Int32, 4), ["I16"] = (ScalarType.Int16, 2), ["I8"] = (ScalarType.Int8, 1),
        ["U8"] = (ScalarType.Byte, 1), ["BOOL"] = (ScalarType.Bool, 1), ["F8_E4M3"] = (Float8Format.E4M3.Type, 1), ["F8_E5M2"] = (Float8Format.E5M2.Type, 1),
    };

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

    private sealed record Part(long[] Shape, long[] Offset);

    /// <summary>Writes tensors and returns the file's SHA-256. The file is on the disk when this returns.</summary>
    /// <param name="path">A new file.</param>
    /// <param name="tensors">In any layout and on any device; written contiguous.</param>
    public static string Write(string path, IReadOnlyList<(string Name, Tensor Tensor)> tensors)
    {
        using var file = new HashedFile(HashedFile.Create(path));
        return Write(file, [.. tensors.Select(t => TensorPart.Whole(t.Name, t.Tensor))]);
    }

    internal static string Write(HashedFile file, IReadOnlyList<TensorPart> tensors)
    {
        var header = new Dictionary<string, object>();
        if (tensors.Any(t => !t.Layout.IsWhole))
            header[Metadata] = tensors.Where(t => !t.Layout.IsWhole).ToDictionary(t => PartKey + t.Name, t => JsonSerializer.Serialize(new Part([.. t.Layout.GlobalShape], [.. t.Layout.Offset]), Json));
        long offset = 0;
        foreach (var (name, tensor, _, _) in tensors)
        {
            var type = Types.First(t => t.Value.Type == tensor.dtype);
            var length = tensor.numel() * type.Value.Size;
            header[name] = new { dtype = type.Key, shape = tensor.shape, data_offsets = new[] { offset, offset + length } };
            offset += length;
        }

        var json = JsonSerializer.SerializeToUtf8Bytes(header);
        Span<byte> size = stackalloc byte[8];
        var padding = (8 - json.Length % 8) % 8;
        BinaryPrimitives.WriteInt64LittleEndian(size, json.Length + padding);
        file.Write(size);
        file.Write(json);
        file.Write("        "u8[..padding]);
        foreach (var (_, tensor, _, _) in tensors)
        {
            using var contiguous = tensor.detach().cpu().contiguous();
            WriteBytes(file, contiguous);
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
            using var stream = File.OpenRead(path);
            return ReadHeader(stream);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or InvalidOperationException or KeyNotFoundException or FormatException or InvalidDataException or OverflowException)
        {
            throw new TitanException(ExitCode.Data, $"'{path}' is not a readable safetensors file: {e.Message}", e);
        }
    }

    /// <summary>Copies one tensor's bytes into <paramref name="target"/>, which has its shape, and any dtype.</summary>
    public static void ReadInto(string path, Entry entry, Tensor target)
    {
        using var file = File.OpenHandle(path);
        ReadInto(file, entry, new Box(new long[entry.Shape.Length], entry.Shape), target);
    }

    /// <summary>Copies a box of one tensor into <paramref name="target"/>, which has the box's shape, and any dtype. Nothing but the box is read.</summary>
    /// <param name="file">The file.</param>
    /// <param name="entry">The tensor.</param>
    /// <param name="box">Which part of the entry, counted from the entry's own begin.</param>
    /// <param name="target">Where to.</param>
    internal static void ReadInto(SafeFileHandle file, Entry entry, Box box, Tensor target)
    {
        using var none = no_grad();
        using var read = empty([.. box.Shape], dtype: entry.Type);
        BoxReader.Read(file, entry, box, read);
        target.copy_(read);
    }

    /// <summary>Reads one tensor.</summary>
    public static Tensor Read(string path, Entry entry)
    {
        var target = empty(entry.Shape, dtype: entry.Type);
        ReadInto(path, entry, target);
        return target;
    }

    private static Dictionary<string, Entry> ReadHeader(Stream stream)
    {
        Span<byte> size = stackalloc byte[8];
        stream.ReadExactly(size);
        var length = BinaryPrimitives.ReadInt64LittleEndian(size);
        if (length is < 2 or > LargestHeader || length > stream.Length - 8) throw new InvalidDataException($"its header claims {length} bytes");
        var bytes = new byte[length];
        stream.ReadExactly(bytes);
        using var document = JsonDocument.Parse(bytes, new JsonDocumentOptions { MaxDepth = 8 });
        var parts = Parts(document.RootElement);
        var entries = new Dictionary<string, Entry>(StringComparer.Ordinal);
        var start = 8 + length;
        var data = stream.Length - start;
        foreach (var item in document.RootElement.EnumerateObject())
        {
            if (item.Name == Metadata) continue;
            var dtype = item.Value.GetProperty("dtype").GetString()!;
            if (!Types.TryGetValue(dtype, out var type)) throw new InvalidDataException($"tensor '{item.Name}' has the unknown dtype '{dtype}'");
            var shape = item.Value.GetProperty("shape").EnumerateArray().Select(d => d.GetInt64()).ToArray();
            if (shape.Any(d => d < 0)) throw new InvalidDataException($"tensor '{item.Name}' has a negative dimension");
            var expected = shape.Aggregate((long)type.Size, (a, b) => checked(a * b));
            var offsets = item.Value.GetProperty("data_offsets");
            long begin = offsets[0].GetInt64(), end = offsets[1].GetInt64();
            if (begin < 0 || end < begin || end > data || end - begin != expected) throw new InvalidDataException($"tensor '{item.Name}' claims bytes {begin} to {end} of {data}");
            var entry = new Entry(type.Type, shape, start + begin, expected);
            if (parts.Remove(item.Name, out var part)) entry = entry with { Layout = LayoutOf(item.Name, part, shape) };
            if (!entries.TryAdd(item.Name, entry)) throw new InvalidDataException($"tensor '{item.Name}' is there twice");
        }

        if (parts.Count > 0) throw new InvalidDataException($"it says which part '{parts.Keys.First()}' is, and does not have it");
        long at = start;
        foreach (var entry in entries.Values.OrderBy(e => e.Begin).ThenBy(e => e.Length))
        {
            if (entry.Begin != at) throw new InvalidDataException("its tensors overlap or leave gaps");
            at += entry.Length;
        }

        return at == stream.Length ? entries : throw new InvalidDataException($"{stream.Length - at} bytes belong to no tensor");
    }

    /// <summary>What the metadata says of parts; other programs' metadata may be anything.</summary>
    private static Dictionary<string, Part> Parts(JsonElement header)
    {
        var parts = new Dictionary<string, Part>(StringComparer.Ordinal);
        if (!header.TryGetProperty(Metadata, out var metadata) || metadata.ValueKind != JsonValueKind.Object) return parts;
        foreach (var item in metadata.EnumerateObject().Where(i => i.Name.StartsWith(PartKey, StringComparison.Ordinal)))
        {
            var part = JsonSerializer.Deserialize<Part>(item.Value.GetString() ?? "", Json);
            if (part is not { Shape: not null, Offset: not null }) throw new InvalidDataException($"'{item.Name}' lacks shape or offset");
            parts[item.Name[PartKey.Length..]] = part;
        }

        return parts;
    }

    private static ShardLayout LayoutOf(string name, Part part, long[] shape)
    {
        var layout = new ShardLayout(part.Shape, part.Offset, shape);
        var fits = part.Shape.Length == shape.Length && part.Offset.Length == shape.Length
            && Enumerable.Range(0, shape.Length).All(d => part.Offset[d] >= 0 && part.Offset[d] <= part.Shape[d] - shape[d]);
        // The size of the whole in bytes must be a number.
        _ = part.Shape.Aggregate(8L, (a, b) => checked(a * b));
        return fits ? layout : throw new InvalidDataException($"tensor '{name}' of [{string.Join(", ", shape)}] claims to begin at [{string.Join(", ", part.Offset)}] of [{string.Join(", ", part.Shape)}]");
    }

    private static unsafe void WriteBytes(HashedFile file, Tensor tensor)
    {
        var address = (byte*)TensorMemory.Address(tensor);
        var length = tensor.numel() * tensor.element_size();
        for (long at = 0; at < length; at += Chunk) file.Write(new ReadOnlySpan<byte>(address + at, (int)Math.Min(Chunk, length - at)));
        GC.KeepAlive(tensor);
    }

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
