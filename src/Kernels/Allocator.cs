using System.Runtime.InteropServices;

namespace Titan.Kernels;

/// <summary>
/// Keeps glibc from returning large blocks to the system after each step: mapping and faulting them in again makes the same operation up to five times slower, at random.
/// </summary>
public static partial class Allocator
{
    private const int TrimThreshold = -1, MmapThreshold = -3;

    /// <summary>Call once, before the first tensor (<see cref="LibTorch.Prepare"/> does). Does nothing where there is no glibc.</summary>
    public static void Tune()
    {
        if (!OperatingSystem.IsLinux()) return;
        try
        {
            _ = SetOption(TrimThreshold, int.MaxValue);
            _ = SetOption(MmapThreshold, 1 << 30);
        }
        catch (EntryPointNotFoundException)
        {
            // Not glibc (musl has no mallopt): its allocator has no such thresholds.
        }
        catch (DllNotFoundException)
        {
            // The same.
        }
    }

    [LibraryImport("libc.so.6", EntryPoint = "mallopt")]
    private static partial int SetOption(int option, int value);
}
