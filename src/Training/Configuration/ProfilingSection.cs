using System.ComponentModel;

namespace Titan.Training.Configuration;

/// <summary>Traces.</summary>
public sealed record ProfilingSection
{
    /// <summary>Write traces.</summary>
    [Description("Write traces.")]
    [NotServedYet("use dotnet-trace")]
    public bool EnableProfiling { get; init; }

    /// <summary>Folder for traces.</summary>
    [Description("Folder for traces.")]
    [NotServedYet("there is no profiler yet")]
    public string SaveTracesFolder { get; init; } = "profile_traces";

    /// <summary>Steps between traces.</summary>
    [Description("Steps between traces.")]
    [NotServedYet("there is no profiler yet")]
    public int ProfileFreq { get; init; } = 10;

    /// <summary>Steps in a trace.</summary>
    [Description("Steps in a trace.")]
    [NotServedYet("there is no profiler yet")]
    public int ProfilerActive { get; init; } = 1;

    /// <summary>Warm-up steps of a trace.</summary>
    [Description("Warm-up steps of a trace.")]
    [NotServedYet("there is no profiler yet")]
    public int ProfilerWarmup { get; init; } = 3;

    /// <summary>Write memory snapshots.</summary>
    [Description("Write memory snapshots.")]
    [NotServedYet("there is no profiler yet")]
    public bool EnableMemorySnapshot { get; init; }

    /// <summary>Folder for snapshots.</summary>
    [Description("Folder for snapshots.")]
    [NotServedYet("there is no profiler yet")]
    public string SaveMemorySnapshotFolder { get; init; } = "memory_snapshot";
}
