using System.ComponentModel;
using System.ComponentModel.DataAnnotations;

namespace Titan.Training.Configuration;

/// <summary>Communication.</summary>
public sealed record CommSection
{
    // A month.
    private const int MostSeconds = 31 * 24 * 3600;

    /// <summary>Time for the first step.</summary>
    [Description("Time for the first step.")]
    [Range(1, MostSeconds)]
    public int InitTimeoutSeconds { get; init; } = 300;

    /// <summary>Time for a collective after the first step.</summary>
    [Description("Time for a collective after the first step.")]
    [Range(1, MostSeconds)]
    public int TrainTimeoutSeconds { get; init; } = 100;

    /// <summary>Flight recorder.</summary>
    [Description("Flight recorder.")]
    [NotServedYet("there is no flight recorder")]
    public int TraceBufSize { get; init; } = 20000;

    /// <summary>Flight recorder.</summary>
    [Description("Flight recorder.")]
    [NotServedYet("there is no flight recorder")]
    public string SaveTracesFolder { get; init; } = "comm_traces";

    /// <summary>Flight recorder.</summary>
    [Description("Flight recorder.")]
    [NotServedYet("there is no flight recorder")]
    public string SaveTracesFilePrefix { get; init; } = "rank_";

    /// <summary>Upstream's simulated backends.</summary>
    [Description("Upstream's simulated backends.")]
    [NotServedYet("use titan plan")]
    public string Mode { get; init; } = "default";
}
