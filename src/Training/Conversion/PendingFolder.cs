using Titan.Abstractions;
using Titan.Training.Checkpoints;

namespace Titan.Training.Conversion;

/// <summary>
/// A folder that is being written: of a hidden name beside its final one, which it gets when all is on the disk. What a process that was killed left is removed by the next that
/// writes the same folder.
/// </summary>
internal sealed class PendingFolder : IDisposable
{
    private const string LockName = ".lock";

    private readonly string final;
    private readonly FileStream held;
    private bool done;

    private PendingFolder(string final, string path, FileStream held) => (this.final, Path, this.held) = (final, path, held);

    /// <summary>Where to write.</summary>
    public string Path { get; }

    /// <summary>Begins a folder.</summary>
    /// <param name="to">Its final name; nothing, or an empty folder, may have it.</param>
    /// <param name="bytes">What will be written, for the room on the disk.</param>
    /// <param name="note">Hears that an earlier attempt is removed.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when the name is taken, another process writes it, or there is no room.</exception>
    public static PendingFolder Begin(string to, long bytes, Action<string> note)
    {
        var final = System.IO.Path.TrimEndingDirectorySeparator(System.IO.Path.GetFullPath(to));
        try
        {
            CheckFree(to, final);
            var parent = Directory.CreateDirectory(System.IO.Path.GetDirectoryName(final)!).FullName;
            var path = System.IO.Path.Combine(parent, $".{System.IO.Path.GetFileName(final)}.converting");
            var isLeft = Directory.Exists(path);
            Directory.CreateDirectory(path);
            var held = FolderLock.Take(path, "the folder of a conversion", LockName, "choose another name");
            if (isLeft)
            {
                foreach (var file in Directory.EnumerateFiles(path).Where(f => System.IO.Path.GetFileName(f) != LockName)) File.Delete(file);
                note($"an earlier conversion to '{to}' was broken off; it starts over");
            }

            var free = new DriveInfo(parent).AvailableFreeSpace;
            if (free < bytes) throw new IOException($"it needs {bytes / 1e6:N0} MB, {free / 1e6:N0} MB are free");
            return new PendingFolder(final, path, held);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new TitanException(ExitCode.Data, $"'{to}' cannot be written: {e.Message}", e);
        }
    }

    /// <summary>Gives the folder its name.</summary>
    public void Commit()
    {
        Failpoint.Hit("before-rename");
        File.Delete(System.IO.Path.Combine(Path, LockName));
        DirectorySync.Flush(Path);
        if (Directory.Exists(final)) Directory.Delete(final);
        Directory.Move(Path, final);
        done = true;
        DirectorySync.Flush(System.IO.Path.GetDirectoryName(final)!);
    }

    /// <summary>What was not committed is removed.</summary>
    public void Dispose()
    {
        held.Dispose();
        if (!done) StepFolders.Discard(Path);
    }

    private static void CheckFree(string to, string final)
    {
        if (File.Exists(final)) throw new TitanException(ExitCode.Data, $"'{to}' is a file; name a folder that does not exist yet");
        if (Directory.Exists(final) && Directory.EnumerateFileSystemEntries(final).Any()) throw new TitanException(ExitCode.Data, $"'{to}' exists already and is not empty; remove it, or choose another name");
    }
}
