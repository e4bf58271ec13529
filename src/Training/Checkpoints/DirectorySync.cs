using System.Runtime.InteropServices;

namespace Titan.Training.Checkpoints;

/// <summary>Makes renames in a directory survive a power cut. .NET can sync files, not directories.</summary>
internal static partial class DirectorySync
{
    private const int ReadOnlyDirectory = 0x10000;

    public static void Flush(string directory)
    {
        if (!OperatingSystem.IsLinux()) return;     // other systems order metadata well enough, or have no such call
        var handle = Open(directory, ReadOnlyDirectory);
        if (handle < 0) return;
        _ = Sync(handle);
        _ = Close(handle);
    }

    [LibraryImport("libc.so.6", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc.so.6", EntryPoint = "fsync")]
    private static partial int Sync(int handle);

    [LibraryImport("libc.so.6", EntryPoint = "close")]
    private static partial int Close(int handle);
}
