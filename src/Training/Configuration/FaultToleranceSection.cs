using System.ComponentModel;

namespace Titan.Training.Configuration;

/// <summary>Upstream's fault-tolerant mode.</summary>
public sealed record FaultToleranceSection
{
    /// <summary>Fault-tolerant training.</summary>
    [Description("Fault-tolerant training.")]
    [NotServedYet("there is no fault-tolerant mode")]
    public bool Enable { get; init; }

    /// <summary>Its process group.</summary>
    [Description("Its process group.")]
    [NotServedYet("there is no fault-tolerant mode")]
    public string ProcessGroup { get; init; } = "gloo";

    /// <summary>Its timeout.</summary>
    [Description("Its timeout.")]
    [NotServedYet("there is no fault-tolerant mode")]
    public int ProcessGroupTimeoutMs { get; init; } = 10000;

    /// <summary>This replica.</summary>
    [Description("This replica.")]
    [NotServedYet("there is no fault-tolerant mode")]
    public int ReplicaId { get; init; }

    /// <summary>Replicas.</summary>
    [Description("Replicas.")]
    [NotServedYet("there is no fault-tolerant mode")]
    public int GroupSize { get; init; }

    /// <summary>Least replicas.</summary>
    [Description("Least replicas.")]
    [NotServedYet("there is no fault-tolerant mode")]
    public int MinReplicaSize { get; init; } = 1;

    /// <summary>Semi-synchronous method.</summary>
    [Description("Semi-synchronous method.")]
    [NotServedYet("there is no fault-tolerant mode")]
    public string? SemiSyncMethod { get; init; }
}
