using System.Runtime.InteropServices;

namespace Titan.Host.Tests.Signals;

/// <summary>The signals of POSIX by name.</summary>
internal static class Signal
{
    private static readonly Dictionary<string, int> Numbers = new() { ["HUP"] = 1, ["INT"] = 2, ["QUIT"] = 3, ["KILL"] = 9, ["TERM"] = 15 };

    public static int Number(string name) => Numbers[name];

    /// <summary>Sends one to a process, or to a group by its negative number.</summary>
    public static void Send(int process, string name) => Assert.Equal(0, Kill(process, Numbers[name]));

    [DllImport("libc", EntryPoint = "kill")]
    private static extern int Kill(int process, int signal);
}
