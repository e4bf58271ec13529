using System.Globalization;
using Titan.Abstractions;

namespace Titan.Host.Runtime;

/// <summary>The number of files that this process may open: with too few the runtime fails anywhere, in words of its own.</summary>
internal static class OpenFiles
{
    /// <summary>The program with its libraries, a few ranks' sockets, and files of data and checkpoints.</summary>
    public const int Needed = 256;

    /// <summary>Refuses a limit that is too low.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Hardware"/>.</exception>
    public static void Check()
    {
        if (Limit() is { } limit && limit < Needed)
            throw new TitanException(ExitCode.Hardware, $"this process may open {limit} files, and needs {Needed} or more: raise the limit before it starts (ulimit -n 1024; LimitNOFILE of a service)");
    }

    /// <summary>The hard limit, to which the runtime raises the soft one; null where there is none, or it is not known.</summary>
    private static int? Limit()
    {
        try
        {
            // Max open files            1024                 1048576              files
            var line = File.ReadLines("/proc/self/limits").FirstOrDefault(l => l.StartsWith("Max open files", StringComparison.Ordinal));
            return line?.Split(' ', StringSplitOptions.RemoveEmptyEntries) is [.., var hard, "files"] && int.TryParse(hard, NumberStyles.None, CultureInfo.InvariantCulture, out var limit) ? limit : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // No Linux.
            return null;
        }
    }
}
