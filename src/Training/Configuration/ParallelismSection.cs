using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using Titan.Abstractions;

namespace Titan.Training.Configuration;

/// <summary>How ranks share the work. The options of the plugins' parallelisms are keys of this section too.</summary>
public sealed record ParallelismSection
{
    /// <summary>Replicas.</summary>
    [Description("Replicas.")]
    [Range(1, ParallelDimensions.MostRanks)]
    public int DataParallelReplicateDegree { get; init; } = 1;

    /// <summary>Ranks that share parameters; -1 for all that are left.</summary>
    [Description("Ranks that share parameters; -1 for all that are left.")]
    [Range(-1, ParallelDimensions.MostRanks), DeniedValues(0)]
    public int DataParallelShardDegree { get; init; } = -1;

    /// <summary>Ranks that share a layer.</summary>
    [Description("Ranks that share a layer.")]
    [Range(1, ParallelDimensions.MostRanks)]
    public int TensorParallelDegree { get; init; } = 1;

    /// <summary>Overlap tensor-parallel communication with matmuls.</summary>
    [Description("Overlap tensor-parallel communication with matmuls.")]
    [NoEffect("tensor_parallel_degree = 1")]
    public bool EnableAsyncTensorParallel { get; init; }

    /// <summary>Pipeline stages.</summary>
    [Description("Pipeline stages.")]
    [Range(1, ParallelDimensions.MostRanks)]
    public int PipelineParallelDegree { get; init; } = 1;

    /// <summary>Modules of each stage.</summary>
    [Description("Modules of each stage.")]
    [NotServedYet("pipelines are not served yet")]
    public string? ModuleFqnsPerModelPart { get; init; }

    /// <summary>Fewer layers in the first stage.</summary>
    [Description("Fewer layers in the first stage.")]
    [NotServedYet("pipelines are not served yet")]
    public int PipelineParallelFirstStageLessLayers { get; init; } = 1;

    /// <summary>Fewer layers in the last stage.</summary>
    [Description("Fewer layers in the last stage.")]
    [NotServedYet("pipelines are not served yet")]
    public int PipelineParallelLastStageLessLayers { get; init; } = 1;

    /// <summary>Layers per stage.</summary>
    [Description("Layers per stage.")]
    [NotServedYet("pipelines are not served yet")]
    public int? PipelineParallelLayersPerStage { get; init; }

    /// <summary>Pipeline schedule; no effect with pipeline_parallel_degree = 1.</summary>
    [Description("Pipeline schedule.")]
    [NoEffect("pipeline_parallel_degree = 1")]
    public string PipelineParallelSchedule { get; init; } = "1F1B";

    /// <summary>Pipeline schedule from a file.</summary>
    [Description("Pipeline schedule from a file.")]
    [NotServedYet("pipelines are not served yet")]
    public string PipelineParallelScheduleCsv { get; init; } = "";

    /// <summary>Sequences in a pipeline's micro-batch; no effect with pipeline_parallel_degree = 1.</summary>
    [Description("Sequences in a pipeline's micro-batch.")]
    [NoEffect("pipeline_parallel_degree = 1")]
    [Range(1, int.MaxValue)]
    public int PipelineParallelMicrobatchSize { get; init; } = 1;

    /// <summary>Overlap of pipeline and expert parallelism.</summary>
    [Description("Overlap of pipeline and expert parallelism.")]
    [NotServedYet("pipelines are not served yet")]
    public bool PipelineParallelExpertParallelOverlap { get; init; } = true;

    /// <summary>Ranks that share a sequence.</summary>
    [Description("Ranks that share a sequence.")]
    [Range(1, ParallelDimensions.MostRanks)]
    public int ContextParallelDegree { get; init; } = 1;

    /// <summary>Ranks that share experts.</summary>
    [Description("Ranks that share experts.")]
    [Range(1, ParallelDimensions.MostRanks)]
    public int ExpertParallelDegree { get; init; } = 1;

    /// <summary>Tensor parallelism of experts.</summary>
    [Description("Tensor parallelism of experts: 1, or tensor_parallel_degree.")]
    [Range(1, ParallelDimensions.MostRanks)]
    public int ExpertTensorParallelDegree { get; init; } = 1;
}
