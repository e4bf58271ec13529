using System.Security.Cryptography;
using System.Text;

namespace Titan.Kernels.Cuda;

/// <summary>
/// Compiled kernels on disk. The key is everything that the image depends on: source, headers, options, compiler, architecture. An entry carries the hash of its image,
/// so that a damaged one is found and made again. A folder that cannot be written costs time, not the run.
/// </summary>
/// <param name="compiler">What compiles on a miss.</param>
/// <param name="folder">Where entries lie; created when needed.</param>
public sealed class KernelCache(ICudaCompiler compiler, string folder)
{
    private static readonly byte[] Magic = "titan-kernel-1\n"u8.ToArray();

    /// <summary><c>$XDG_CACHE_HOME/titan/kernels</c>, or <c>~/.cache/titan/kernels</c>.</summary>
    public static string DefaultFolder
    {
        get
        {
            var cache = Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
            // The XDG specification: a relative path is to be ignored.
            if (!Path.IsPathRooted(cache)) cache = Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");
            return Path.Combine(cache!, "titan", "kernels");
        }
    }

    /// <summary>The architectures that the compiler knows.</summary>
    public IReadOnlyList<int> Architectures => compiler.Architectures;

    /// <summary>The image of a source, from disk or compiled now.</summary>
    /// <param name="name">Name of the source, without <c>.cu</c>.</param>
    /// <param name="source">Its text.</param>
    /// <param name="headers">What it may include.</param>
    /// <param name="architecture">What to compile for.</param>
    public byte[] Image(string name, string source, IReadOnlyList<(string Name, string Text)> headers, string architecture)
    {
        var file = Path.Combine(folder, $"{name}-{architecture}-{Key(source, headers, architecture)}.bin");
        if (Read(file) is { } known) return known;
        var image = compiler.Compile(name + ".cu", source, headers, architecture);
        Write(file, image);
        return image;
    }

    private static byte[]? Read(string file)
    {
        byte[] bytes;
        try
        {
            bytes = File.ReadAllBytes(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }

        var start = Magic.Length + SHA256.HashSizeInBytes;
        if (bytes.Length < start || !bytes.AsSpan(0, Magic.Length).SequenceEqual(Magic)) return null;
        var image = bytes[start..];
        return SHA256.HashData(image).AsSpan().SequenceEqual(bytes.AsSpan(Magic.Length, SHA256.HashSizeInBytes)) ? image : null;
    }

    /// <summary>Under a name of its own first, then renamed: another process never sees half an entry.</summary>
    private void Write(string file, byte[] image)
    {
        var partial = $"{file}.{Guid.NewGuid():n}";
        try
        {
            Directory.CreateDirectory(folder);
            File.WriteAllBytes(partial, [.. Magic, .. SHA256.HashData(image), .. image]);
            File.Move(partial, file, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Compiled again next time. A partial file is of no use; whether it can be removed changes nothing.
            try
            {
                File.Delete(partial);
            }
            catch (Exception again) when (again is IOException or UnauthorizedAccessException)
            {
            }
        }
    }

    private string Key(string source, IReadOnlyList<(string Name, string Text)> headers, string architecture)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        string[] parts = [compiler.Version, architecture, .. compiler.Options, source, .. headers.SelectMany(h => new[] { h.Name, h.Text })];
        foreach (var part in parts)
        {
            var bytes = Encoding.UTF8.GetBytes(part);
            // Lengths too: otherwise text could move from one part to the next under the same hash.
            hash.AppendData(BitConverter.GetBytes(bytes.Length));
            hash.AppendData(bytes);
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset())[..32];
    }
}
