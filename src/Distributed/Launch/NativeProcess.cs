using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;

namespace Titan.Distributed.Launch;

/// <summary>The few calls to the C library that .NET has no equivalent of.</summary>
internal static partial class NativeProcess
{
    /// <summary>Sets a variable that native libraries see, unless it is set: .NET's own call changes only a copy.</summary>
    public static void SetDefault(string name, string value) => _ = SetVariable(name, value, 0);

    /// <summary>Sleeps without the millisecond grain of Thread.Sleep.</summary>
    public static void SleepMicroseconds(int microseconds) => _ = Sleep((uint)microseconds);

    /// <summary>Ends the process now: no handlers, no finalisers, nothing that could wait for a rank that is gone.</summary>
    [DoesNotReturn]
    public static void ExitNow(int code)
    {
        Exit(code);
        throw new UnreachableException();
    }

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetVariable(string name, string value, int overwrite);

    [LibraryImport("libc", EntryPoint = "usleep")]
    private static partial int Sleep(uint microseconds);

    [LibraryImport("libc", EntryPoint = "_exit")]
    private static partial void Exit(int code);
}
