using System.Globalization;
using System.Text;
using Titan.Abstractions;
using Titan.Training.Files;

namespace Titan.Training.Checkpoints;

/// <summary>One run at a time writes into a folder: it holds a file there, which has its pid, open for as long as it lives, so that a crash frees it.</summary>
internal static class FolderLock
{
    // What IOException.HResult is when a file is locked: errno on Linux and macOS, a Win32 code on Windows.
    private const int WouldBlock = 11, WouldBlockOnMac = 35, SharingViolation = unchecked((int)0x80070020);

    /// <summary>Takes the lock; disposing of it gives it back.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="what">What the folder is, for the message.</param>
    /// <param name="file">The file's name: a folder may serve two purposes of one run.</param>
    /// <param name="wayOut">What to do instead of waiting.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when another run has it.</exception>
    public static FileStream Take(string folder, string what = "checkpoint folder", string file = ".lock", string wayOut = "choose another job.dump_folder")
    {
        var path = Path.Combine(folder, file);
        try
        {
            // What a link points to is somebody's file, and would be emptied.
            RegularFile.ThrowIfOther(path, followLinks: false);
        }
        catch (IOException e)
        {
            throw new IOException($"'{path}' cannot be a lock: {e.Message}", e);
        }

        try
        {
            // None, because on Unix only that locks out others.
            var held = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            held.SetLength(0);
            held.Write(Encoding.ASCII.GetBytes(Environment.ProcessId.ToString(CultureInfo.InvariantCulture)));
            held.Flush();
            return held;
        }
        catch (IOException e) when (e.HResult is WouldBlock or WouldBlockOnMac or SharingViolation)
        {
            throw new TitanException(ExitCode.Data, $"{what} '{folder}' is in use by another run (its pid is in {path}); wait for it, or {wayOut}", e);
        }
    }
}
