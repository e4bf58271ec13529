using System.Runtime.InteropServices;

namespace Titan.Training.Files;

/// <summary>
/// Opens files that hold data. A named pipe or a device in the place of one would keep a reader waiting for ever or feed it without end, so anything
/// but a regular file is refused before it is opened. Refusals are <see cref="IOException"/>s whose message goes on from the file's name: "it is a
/// named pipe; ...".
/// </summary>
public static partial class RegularFile
{
    private const int CurrentFolder = -100, NoFollow = 0x100, TypeOnly = 1, ModeAt = 28, Bytes = 256;

    /// <summary>Opens a regular file to read it.</summary>
    /// <param name="path">The file.</param>
    /// <param name="largest">Bytes that it may have at most.</param>
    /// <param name="followLinks">Whether a link to a regular file will do.</param>
    /// <exception cref="IOException">When it is missing, larger, or something else than a regular file.</exception>
    /// <exception cref="UnauthorizedAccessException">When it is a folder, or may not be read.</exception>
    public static FileStream OpenRead(string path, long largest = long.MaxValue, bool followLinks = true)
    {
        ThrowIfOther(path, followLinks);
        var file = File.OpenRead(path);
        if (file.Length <= largest) return file;
        var length = file.Length;
        file.Dispose();
        throw new IOException($"it has {length:N0} bytes; expected at most {largest:N0}");
    }

    /// <summary>Reads a regular file whole.</summary>
    /// <param name="path">The file.</param>
    /// <param name="largest">Bytes that it may have at most; looked at before memory is taken.</param>
    /// <param name="followLinks">Whether a link to a regular file will do.</param>
    /// <exception cref="IOException">When it is missing, larger, or something else than a regular file, or changes its length meanwhile.</exception>
    /// <exception cref="UnauthorizedAccessException">When it is a folder, or may not be read.</exception>
    public static byte[] ReadAllBytes(string path, int largest, bool followLinks = true)
    {
        using var file = OpenRead(path, largest, followLinks);
        var bytes = new byte[file.Length];
        file.ReadExactly(bytes);
        return file.ReadByte() < 0 ? bytes : throw new IOException("it grew while it was read");
    }

    /// <summary>Whether anything has that name: a file, a folder, or a link, even one that leads nowhere.</summary>
    public static bool IsTaken(string path) => Path.Exists(path) || new FileInfo(path).LinkTarget is not null;

    /// <summary>
    /// Refuses what is there and is no regular file; a missing file passes. For files that are about to be written, or that a library opens.
    /// </summary>
    /// <param name="path">The file.</param>
    /// <param name="followLinks">Whether a link to a regular file will do.</param>
    /// <exception cref="IOException">With what is there instead.</exception>
    public static void ThrowIfOther(string path, bool followLinks = true)
    {
        // The system would see a name that ends there: another file.
        if (path.Contains('\0')) throw new IOException("its name holds a NUL character");
        if (Other(path, followLinks) is { } kind) throw new IOException($"it is {kind}; expected a regular file");
    }

    /// <summary>
    /// What there is instead of a regular file; null for one, and where there is nothing or nothing can be told, which whoever opens it will say.
    /// </summary>
    private static unsafe string? Other(string path, bool followLinks)
    {
        if (!OperatingSystem.IsLinux())
        {
            var file = new FileInfo(path);
            if (!followLinks && file.LinkTarget is not null) return "a link";
            return file.Exists && file.Attributes.HasFlag(FileAttributes.Device) ? "a device" : null;
        }

        // statx, because its structure is the same on every processor. Nothing is opened: that alone would wait at a pipe, and rewind a tape.
        var status = stackalloc byte[Bytes];
        if (Status(CurrentFolder, path, followLinks ? 0 : NoFollow, TypeOnly, status) != 0) return null;
        return (*(ushort*)(status + ModeAt) & 0xf000) switch
        {
            0x8000 or 0x4000 => null,   // a folder is refused by whoever opens it
            0xa000 => "a link",
            0x1000 => "a named pipe",
            0xc000 => "a socket",
            _ => "a device",
        };
    }

    [LibraryImport("libc.so.6", EntryPoint = "statx", StringMarshalling = StringMarshalling.Utf8)]
    private static unsafe partial int Status(int folder, string path, int flags, uint mask, byte* status);
}
