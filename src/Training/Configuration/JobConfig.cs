namespace Titan.Training.Configuration;

/// <summary>A job: upstream's sections. Those that plugins add are made when their plugin is loaded.</summary>
public sealed record JobConfig
{
    /// <summary>Section <c>[job]</c>.</summary>
    public JobSection Job { get; init; } = new();

    /// <summary>Section <c>[profiling]</c>.</summary>
    public ProfilingSection Profiling { get; init; } = new();

    /// <summary>Section <c>[metrics]</c>.</summary>
    public MetricsSection Metrics { get; init; } = new();

    /// <summary>Section <c>[model]</c>.</summary>
    public ModelSection Model { get; init; } = new();

    /// <summary>Section <c>[optimizer]</c>.</summary>
    public OptimizerSection Optimizer { get; init; } = new();

    /// <summary>Section <c>[lr_scheduler]</c>.</summary>
    public LrSchedulerSection LrScheduler { get; init; } = new();

    /// <summary>Section <c>[training]</c>.</summary>
    public TrainingSection Training { get; init; } = new();

    /// <summary>Section <c>[parallelism]</c>.</summary>
    public ParallelismSection Parallelism { get; init; } = new();

    /// <summary>Section <c>[checkpoint]</c>.</summary>
    public CheckpointSection Checkpoint { get; init; } = new();

    /// <summary>Section <c>[activation_checkpoint]</c>.</summary>
    public ActivationCheckpointSection ActivationCheckpoint { get; init; } = new();

    /// <summary>Section <c>[compile]</c>.</summary>
    public CompileSection Compile { get; init; } = new();

    /// <summary>Section <c>[comm]</c>.</summary>
    public CommSection Comm { get; init; } = new();

    /// <summary>Section <c>[memory_estimation]</c>.</summary>
    public MemoryEstimationSection MemoryEstimation { get; init; } = new();

    /// <summary>Section <c>[fault_tolerance]</c>.</summary>
    public FaultToleranceSection FaultTolerance { get; init; } = new();

    /// <summary>Section <c>[experimental]</c>.</summary>
    public ExperimentalSection Experimental { get; init; } = new();

    /// <summary>Section <c>[validation]</c>.</summary>
    public ValidationSection Validation { get; init; } = new();

    /// <summary>Section <c>[debug]</c>.</summary>
    public DebugSection Debug { get; init; } = new();

    /// <summary>Section <c>[plugins]</c>.</summary>
    public PluginsSection Plugins { get; init; } = new();
}
