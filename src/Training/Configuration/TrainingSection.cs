using System.ComponentModel;
using System.ComponentModel.DataAnnotations;

namespace Titan.Training.Configuration;

/// <summary>The training loop.</summary>
public sealed record TrainingSection
{
    /// <summary>Dataset: titan_sample (shipped), text (your files), chat (your conversations, docs/fine-tuning.md), c4, c4_test, c4_validation; all but the shipped one need dataset_path.</summary>
    [Description("Dataset: titan_sample (shipped), text (your files), chat (your conversations, docs/fine-tuning.md), c4, c4_test, c4_validation; all but the shipped one need dataset_path.")]
    public string Dataset { get; init; } = "titan_sample";

    /// <summary>File or folder of .txt, .jsonl, .json (also .gz) or .parquet, with documents of up to 16 Mi characters; of a chat, .jsonl or .json.</summary>
    [Description("File or folder of .txt, .jsonl, .json (also .gz) or .parquet, with documents of up to 16 Mi characters; of a chat, .jsonl or .json.")]
    public string? DatasetPath { get; init; }

    /// <summary>Sequences per data-parallel rank and micro-batch.</summary>
    [Description("Sequences per data-parallel rank and micro-batch.")]
    [Range(1, int.MaxValue)]
    public int LocalBatchSize { get; init; } = 8;

    /// <summary>Sequences per step over all ranks; -1: local_batch_size times the data-parallel ranks.</summary>
    [Description("Sequences per step over all ranks; -1: local_batch_size times the data-parallel ranks.")]
    [Range(-1, int.MaxValue), DeniedValues(0)]
    public int GlobalBatchSize { get; init; } = -1;

    /// <summary>Tokens per sequence.</summary>
    [Description("Tokens per sequence.")]
    [Range(1, int.MaxValue)]
    public int SeqLen { get; init; } = 2048;

    /// <summary>Gradients are clipped to this global norm.</summary>
    [Description("Gradients are clipped to this global norm.")]
    [Range(0, double.PositiveInfinity, MinimumIsExclusive = true)]
    public double MaxNorm { get; init; } = 1.0;

    /// <summary>Optimizer steps.</summary>
    [Description("Optimizer steps.")]
    [Range(1, int.MaxValue)]
    public int Steps { get; init; } = 10000;

    /// <summary>Keep parameters in host memory.</summary>
    [Description("Keep parameters in host memory.")]
    [NotServedYet("there is no offloading yet")]
    public bool EnableCpuOffload { get; init; }

    /// <summary>Dtype of the parameters.</summary>
    [Description("Dtype of the parameters.")]
    [AllowedValues("bfloat16", "float32")]
    public string Dtype { get; init; } = "float32";

    /// <summary>Dtype of computation.</summary>
    [Description("Dtype of computation.")]
    [AllowedValues("bfloat16", "float32")]
    public string MixedPrecisionParam { get; init; } = "bfloat16";

    /// <summary>Dtype of gradient reduction.</summary>
    [Description("Dtype of gradient reduction.")]
    [AllowedValues("float32")]
    public string MixedPrecisionReduce { get; init; } = "float32";

    /// <summary>Steps between garbage collections.</summary>
    [Description("Steps between garbage collections.")]
    [Range(1, int.MaxValue)]
    public int GcFreq { get; init; } = 50;

    /// <summary>Log each collection.</summary>
    [Description("Log each collection.")]
    public bool GcDebug { get; init; }

    /// <summary>Loading.</summary>
    [Description("Loading.")]
    public DataloaderSection Dataloader { get; init; } = new();
}
