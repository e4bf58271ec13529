using System.Buffers.Binary;
using System.Text.Json;
using Titan.Abstractions;
using Titan.Kernels.Aten;
using static TorchSharp.torch;

namespace Titan.Training.Checkpoints;

/// <summary>
/// The header of a safetensors file: each field has its type and its range, and all tensors together are the file's bytes, each byte once. What it says of parts of larger
/// tensors (see <see cref="SafetensorsFile"/>) must be possible too.
/// </summary>
internal static class SafetensorsHeader
{
    /// <summary>The key of what is not a tensor.</summary>
    public const string Metadata = "__metadata__";

    /// <summary>How keys of the metadata begin that say which part of a tensor is in the file.</summary>
    public const string PartKey = "part.";

    private const long LargestHeader = 100L << 20;
    private const int MostDimensions = 16, LongestName = 1024;

    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web);
    private static readonly JsonDocumentOptions Strict = new() { MaxDepth = 8, AllowDuplicateProperties = false };

    /// <summary>The dtypes of the format, with their bytes.</summary>
    public static IReadOnlyDictionary<string, (ScalarType Type, int Size)> Types { get; } = new Dictionary<string, (ScalarType, int)>
    {
        ["F64"] = (ScalarType.Float64, 8), ["F32"] = (ScalarType.Float32, 4), ["F16"] = (ScalarType.Float16, 2), ["BF16"] = (ScalarType.BFloat16, 2),
        ["I64"] = (ScalarType.Int64, 8), ["I32"] = (ScalarType.Int32, 4), ["I16"] = (ScalarType.Int16, 2), ["I8"] = (ScalarType.Int8, 1),
        ["U8"] = (ScalarType.Byte, 1), ["BOOL"] = (ScalarType.Bool, 1), ["F8_E4M3"] = (Float8Format.E4M3.Type, 1), ["F8_E5M2"] = (Float8Format.E5M2.Type, 1),
    };

    /// <summary>A dtype's name in the format.</summary>
    public static string NameOf(ScalarType type) => Types.First(t => t.Value.Type == type).Key;

    /// <summary>Bytes of a tensor.</summary>
    public static long BytesOf(ScalarType type, IEnumerable<long> shape) => shape.Aggregate((long)Types[NameOf(type)].Size, (a, b) => a * b);

    /// <summary>Which part of a larger tensor one is.</summary>
    public sealed record Part(long[] Shape, long[] Offset);

    /// <summary>The bytes before the first tensor's, for tensors that follow each other in the order given.</summary>
    /// <param name="tensors">The tensors of the file.</param>
    /// <param name="metadata">What it says besides.</param>
    public static byte[] Compose(IReadOnlyList<SafetensorsFile.WrittenTensor> tensors, IReadOnlyDictionary<string, string> metadata)
    {
        var header = new Dictionary<string, object>();
        var told = metadata.ToDictionary();
        foreach (var (name, _, layout, _) in tensors.Where(t => !t.Layout.IsWhole)) told[PartKey + name] = JsonSerializer.Serialize(new Part([.. layout.GlobalShape], [.. layout.Offset]), Json);
        if (told.Count > 0) header[Metadata] = told;
        long offset = 0;
        foreach (var (name, type, layout, _) in tensors)
        {
            var length = BytesOf(type, layout.Shape);
            header[name] = new { dtype = NameOf(type), shape = layout.Shape, data_offsets = new[] { offset, offset + length } };
            offset += length;
        }

        var json = JsonSerializer.SerializeToUtf8Bytes(header);
        var bytes = new byte[8 + (json.Length + 7) / 8 * 8];
        bytes.AsSpan(8).Fill((byte)' ');
        BinaryPrimitives.WriteInt64LittleEndian(bytes, bytes.Length - 8);
        json.CopyTo(bytes, 8);
        return bytes;
    }

    /// <summary>Reads the header from the stream's begin and checks all of it against the stream's length.</summary>
    /// <exception cref="InvalidDataException">With what is wrong; or a JsonException.</exception>
    /// <exception cref="IOException">When it cannot be read.</exception>
    public static Dictionary<string, SafetensorsFile.Entry> Read(Stream stream)
    {
        Span<byte> size = stackalloc byte[8];
        stream.ReadExactly(size);
        Require(!size.SequenceEqual("version "u8), "it is a pointer of Git LFS, not the file itself: fetch it with 'git lfs pull'");
        var length = BinaryPrimitives.ReadInt64LittleEndian(size);
        Require(length is >= 2 and <= LargestHeader && length <= stream.Length - 8, $"its header claims {length} bytes");
        var bytes = new byte[length];
        stream.ReadExactly(bytes);
        using var document = JsonDocument.Parse(bytes, Strict);
        Require(document.RootElement.ValueKind == JsonValueKind.Object, "its header is no object");
        var described = Described(document.RootElement) + 8 + length;
        Require(described <= stream.Length, $"it is cut off: its header describes {described:N0} bytes, the file has {stream.Length:N0}");
        var parts = Parts(document.RootElement);
        var entries = new Dictionary<string, SafetensorsFile.Entry>(StringComparer.Ordinal);
        foreach (var item in document.RootElement.EnumerateObject().Where(i => i.Name != Metadata))
        {
            Require(item.Name.Length is > 0 and <= LongestName, $"a tensor's name has {item.Name.Length} characters, expected 1 to {LongestName}");
            var entry = ReadEntry(item.Name, item.Value, 8 + length, stream.Length);
            if (parts.Remove(item.Name, out var part)) entry = entry with { Layout = LayoutOf(item.Name, part, entry.Shape) };
            entries.Add(item.Name, entry);
        }

        Require(parts.Count == 0, $"it says which part '{parts.Keys.FirstOrDefault()}' is, and does not have it");
        var at = 8 + length;
        foreach (var entry in entries.Values.OrderBy(e => e.Begin).ThenBy(e => e.Length))
        {
            Require(entry.Begin == at, "its tensors overlap or leave gaps");
            at += entry.Length;
        }

        Require(at == stream.Length, $"{stream.Length - at} bytes belong to no tensor");
        return entries;
    }

    private static SafetensorsFile.Entry ReadEntry(string name, JsonElement value, long start, long end)
    {
        Require(value.ValueKind == JsonValueKind.Object, $"tensor '{name}' is no object");
        var dtype = value.TryGetProperty("dtype", out var d) && d.ValueKind == JsonValueKind.String ? d.GetString()! : throw new InvalidDataException($"tensor '{name}' has no dtype");
        if (!Types.TryGetValue(dtype, out var type)) throw new InvalidDataException($"tensor '{name}' has the unknown dtype '{dtype}'");
        var shape = Numbers(value, name, "shape");
        Require(shape.Length <= MostDimensions, $"tensor '{name}' has {shape.Length} dimensions, expected at most {MostDimensions}");
        var bytes = Bytes(shape, type.Size) ?? throw new InvalidDataException($"tensor '{name}' claims the shape [{string.Join(", ", shape)}]");
        Require(Numbers(value, name, "data_offsets") is [>= 0 and var from, >= 0 and var to] && to - from == bytes && to <= end - start, $"tensor '{name}' claims other bytes than its {bytes} within the file");
        return new SafetensorsFile.Entry(type.Type, shape, start + value.GetProperty("data_offsets")[0].GetInt64(), bytes);
    }

    /// <summary>Bytes of the tensors, as far as a header that may be anything says.</summary>
    private static long Described(JsonElement header) => header.EnumerateObject().Where(i => i.Name != Metadata).Select(i =>
        i.Value.ValueKind == JsonValueKind.Object && i.Value.TryGetProperty("data_offsets", out var to) && to.ValueKind == JsonValueKind.Array && to.GetArrayLength() == 2
            && to[1].ValueKind == JsonValueKind.Number && to[1].TryGetInt64(out var end) && end < long.MaxValue / 2 ? end : 0).DefaultIfEmpty().Max();

    private static long[] Numbers(JsonElement value, string name, string key)
    {
        Require(value.TryGetProperty(key, out var list) && list.ValueKind == JsonValueKind.Array, $"tensor '{name}' has no {key}");
        return [.. list.EnumerateArray().Select(n => n.ValueKind == JsonValueKind.Number && n.TryGetInt64(out var number) ? number : throw new InvalidDataException($"tensor '{name}' has {key} that are no whole numbers"))];
    }

    /// <summary>Bytes of a tensor; null where a dimension is negative, or their product no number, as if a dimension of 0 were not there.</summary>
    private static long? Bytes(IEnumerable<long> shape, int size)
    {
        var (bytes, isEmpty) = ((Int128)size, false);
        foreach (var dimension in shape)
        {
            if (dimension < 0 || (bytes *= Math.Max(1, dimension)) > long.MaxValue) return null;
            isEmpty |= dimension == 0;
        }

        return isEmpty ? 0 : (long)bytes;
    }

    /// <summary>What the metadata says of parts; other programs' metadata may be anything.</summary>
    private static Dictionary<string, Part> Parts(JsonElement header)
    {
        var parts = new Dictionary<string, Part>(StringComparer.Ordinal);
        if (!header.TryGetProperty(Metadata, out var metadata) || metadata.ValueKind != JsonValueKind.Object) return parts;
        foreach (var item in metadata.EnumerateObject().Where(i => i.Name.StartsWith(PartKey, StringComparison.Ordinal)))
        {
            var part = item.Value.ValueKind == JsonValueKind.String ? JsonSerializer.Deserialize<Part>(item.Value.GetString()!, Json) : null;
            parts[item.Name[PartKey.Length..]] = part is { Shape: not null, Offset: not null } ? part : throw new InvalidDataException($"'{item.Name}' lacks shape or offset");
        }

        return parts;
    }

    private static ShardLayout LayoutOf(string name, Part part, long[] shape)
    {
        // The size of the whole in bytes must be a number.
        var fits = part.Shape.Length == shape.Length && part.Offset.Length == shape.Length && Bytes(part.Shape, 8) is not null
            && Enumerable.Range(0, shape.Length).All(d => part.Offset[d] >= 0 && part.Offset[d] <= part.Shape[d] - shape[d]);
        Require(fits, $"tensor '{name}' of [{string.Join(", ", shape)}] claims to begin at [{string.Join(", ", part.Offset)}] of [{string.Join(", ", part.Shape)}]");
        return new ShardLayout(part.Shape, part.Offset, shape);
    }

    private static void Require(bool holds, string otherwise)
    {
        if (!holds) throw new InvalidDataException(otherwise);
    }
}
