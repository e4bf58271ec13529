using System.ComponentModel;

namespace Titan.Training.Configuration;

/// <summary>Loading.</summary>
public sealed record DataloaderSection
{
    /// <summary>Loader processes.</summary>
    [Description("Loader processes.")]
    [NotServedYet("batches are prepared in the training process")]
    public int NumWorkers { get; init; }

    /// <summary>Keep loader processes.</summary>
    [Description("Keep loader processes.")]
    [NotServedYet("there are no loader processes")]
    public bool PersistentWorkers { get; init; }

    /// <summary>Pinned host memory.</summary>
    [Description("Pinned host memory.")]
    [NotServedYet("there are no pinned batches yet")]
    public bool PinMemory { get; init; }

    /// <summary>Batches ahead.</summary>
    [Description("Batches ahead.")]
    [NotServedYet("batches are prepared in the training process")]
    public int? PrefetchFactor { get; init; }
}
