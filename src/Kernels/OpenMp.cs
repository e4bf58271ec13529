using System.Runtime.InteropServices;

namespace Titan.Kernels;

/// <summary>
/// Lets libtorch's threads sleep while they wait for each other. By default they spin, and where anything else wants the same cores each of the many small waits of a step
/// then lasts a time slice: a step takes ten times as long.
/// </summary>
public static partial class OpenMp
{
    /// <summary>Call once, before libtorch is loaded: its OpenMP library reads the environment when it is. A setting of the user's stays.</summary>
    public static void Tune()
    {
        // .NET's own SetEnvironmentVariable does not reach native code.
        if (OperatingSystem.IsLinux() || OperatingSystem.IsMacOS()) _ = SetVariable("OMP_WAIT_POLICY", "PASSIVE", overwrite: 0);
    }

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetVariable(string name, string value, int overwrite);
}
