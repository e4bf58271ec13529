using System.Diagnostics;
using Titan.Kernels;

namespace Titan.Training.Checkpoints;

/// <summary>
/// Moments that tests ask for. <c>TITAN_FAILPOINT</c> = <c>name</c>, or <c>name:k</c> for the k-th time, kills the process there, as a power cut would. <c>TITAN_HOLD</c> =
/// <c>name=FILE</c>, or <c>name:k=FILE</c>, holds it there for as long as the file exists, and says so by a file beside it: <c>FILE.PID</c>. Without the variables nothing happens.
/// </summary>
internal static class Failpoint
{
    private static readonly Moment Killed = Moment.Of(ProgramVariables.Failpoint.Value);
    private static readonly string[] Held = (ProgramVariables.Hold.Value ?? "").Split('=', 2);
    private static readonly Moment HeldAt = Moment.Of(Held[0]);

    public static void Hit(string name)
    {
        if (Killed.IsNow(name)) Process.GetCurrentProcess().Kill();
        if (Held.Length > 1 && HeldAt.IsNow(name)) Hold(Held[1]);
    }

    private static void Hold(string file)
    {
        File.WriteAllText($"{file}.{Environment.ProcessId}", "");
        while (File.Exists(file)) Thread.Sleep(5);
    }

    private sealed class Moment(string name, int time)
    {
        private int left = time;

        public static Moment Of(string? text)
        {
            var parts = (text ?? "").Split(':');
            return new(parts[0], parts.Length > 1 ? int.Parse(parts[1]) : 1);
        }

        public bool IsNow(string reached) => name == reached && Interlocked.Decrement(ref left) == 0;
    }
}
