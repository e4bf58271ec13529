using System.Diagnostics;

namespace Titan.Training.Metrics;

/// <summary>Memory of this process.</summary>
public static class ProcessMemory
{
    /// <summary>Peak resident memory in GiB, and in percent of the machine's.</summary>
    public static (double GiB, double Percent) Peak()
    {
        using var process = Process.GetCurrentProcess();
        double peak = process.PeakWorkingSet64, total = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        return (peak / (1L << 30), 100 * peak / total);
    }
}
