using System.Diagnostics;
using Titan.Kernels;

namespace Titan.Training.Checkpoints;

/// <summary>
/// For crash tests: kills the process where TITAN_FAILPOINT says, as a power cut would. <c>name</c> or <c>name:k</c> for the k-th time; without the variable it does nothing.
/// </summary>
internal static class Failpoint
{
    private static readonly string[] Wanted = (ProgramVariables.Failpoint.Value ?? "").Split(':');
    private static int left = Wanted.Length > 1 ? int.Parse(Wanted[1]) : 1;

    public static void Hit(string name)
    {
        if (Wanted[0] == name && --left == 0) Process.GetCurrentProcess().Kill();
    }
}
