using System.ComponentModel;
using System.ComponentModel.DataAnnotations;

namespace Titan.Training.Configuration;

/// <summary>What is logged, and where.</summary>
public sealed record MetricsSection
{
    /// <summary>Steps between log lines; step 1 is always logged.</summary>
    [Description("Steps between log lines; step 1 is always logged.")]
    [Range(1, int.MaxValue)]
    public int LogFreq { get; init; } = 10;

    /// <summary>Steps between measurements of what the float8 casts do; step 1 is always measured; 0 for none.</summary>
    [Description("Steps between measurements of what the float8 casts do to their tensors (amax, scales, saturation, underflow, SQNR); step 1 is always measured; 0: never.")]
    [Range(0, int.MaxValue)]
    public int Float8StatsFreq { get; init; }

    /// <summary>Write TensorBoard event files.</summary>
    [Description("Write TensorBoard event files.")]
    public bool EnableTensorboard { get; init; }

    /// <summary>Plain log lines.</summary>
    [Description("Plain log lines.")]
    public bool DisableColorPrinting { get; init; }

    /// <summary>Folder under dump_folder for event files.</summary>
    [Description("Folder under dump_folder for event files.")]
    public string SaveTbFolder { get; init; } = "tb";

    /// <summary>Event files from every rank, not only rank 0.</summary>
    [Description("Event files from every rank, not only rank 0.")]
    public bool SaveForAllRanks { get; init; }

    /// <summary>Upstream: log to Weights &amp; Biases.</summary>
    [Description("Upstream: log to Weights & Biases.")]
    [NotServedYet("use enable_tensorboard, or read metrics.jsonl")]
    public bool EnableWandb { get; init; }
}
