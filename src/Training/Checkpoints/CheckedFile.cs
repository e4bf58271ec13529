using System.Security.Cryptography;
using System.Text.Json;
using Titan.Abstractions;
using Titan.Training.Files;
using static TorchSharp.torch;

namespace Titan.Training.Checkpoints;

/// <summary>A file of a checkpoint is read once to be believed: its bytes must have the SHA-256 of the manifest, and its tensors of floats be finite.</summary>
internal static class CheckedFile
{
    // A multiple of every element's size.
    private const int Chunk = 1 << 22;

    /// <summary>Reads a file whole.</summary>
    /// <param name="folder">The checkpoint.</param>
    /// <param name="file">One of its files.</param>
    /// <param name="progress">Called with the bytes of each chunk; null for nobody.</param>
    /// <exception cref="CorruptCheckpointException">When its bytes are others, or such that nothing good follows from them.</exception>
    public static void Read(string folder, CheckpointFile file, Action<long>? progress = null)
    {
        using var stream = RegularFile.OpenRead(Path.Combine(folder, file.Name), followLinks: false);
        var tensors = Path.GetExtension(file.Name) == ".safetensors" ? Tensors(stream) : [];
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[Chunk];
        string? nonFinite = null;
        stream.Position = 0;
        Read(tensors.Count == 0 ? file.Length : tensors[0].Begin, _ => { });
        foreach (var (name, type, _, length) in tensors)
        {
            Read(length, bytes =>
            {
                if (nonFinite is null && StoredFloats.HasNonFinite(type, bytes)) nonFinite = name;
            });
        }

        if (stream.ReadByte() >= 0 || System.Convert.ToHexStringLower(hash.GetHashAndReset()) != file.Sha256) throw new CorruptCheckpointException($"the SHA-256 of {file.Name} differs");
        if (nonFinite is not null) throw new CorruptCheckpointException($"{nonFinite} ({file.Name}) holds NaN or infinity");

        void Read(long length, Action<ReadOnlySpan<byte>> look)
        {
            while (length > 0)
            {
                var read = stream.ReadAtLeast(buffer.AsSpan(0, (int)Math.Min(Chunk, length)), (int)Math.Min(Chunk, length), throwOnEndOfStream: false);
                if (read == 0) return;
                hash.AppendData(buffer, 0, read);
                look(buffer.AsSpan(0, read));
                progress?.Invoke(read);
                length -= read;
            }
        }
    }

    /// <summary>A rank's share of files: the largest first, each to whoever has least so far. No file is read for it by two.</summary>
    public static IEnumerable<T> Share<T>(IReadOnlyList<T> files, Func<T, (string Name, long Length)> describe, IProcessGroup world)
    {
        var bytes = new long[world.Size];
        foreach (var (file, length) in files.Select(f => (File: f, describe(f).Length)).OrderByDescending(f => f.Length).ThenBy(f => describe(f.File).Name, StringComparer.Ordinal))
        {
            var least = Array.IndexOf(bytes, bytes.Min());
            bytes[least] += length;
            if (least == world.Rank) yield return file;
        }
    }

    /// <summary>The tensors in the order of their bytes; none where the header is none: whether it was saved so, the hash tells.</summary>
    private static List<(string Name, ScalarType Type, long Begin, long Length)> Tensors(Stream stream)
    {
        try
        {
            return [.. SafetensorsHeader.Read(stream).Select(e => (e.Key, e.Value.Type, e.Value.Begin, e.Value.Length)).OrderBy(e => e.Begin).ThenBy(e => e.Length)];
        }
        catch (Exception e) when (e is InvalidDataException or JsonException or InvalidOperationException or EndOfStreamException)
        {
            return [];
        }
    }
}
