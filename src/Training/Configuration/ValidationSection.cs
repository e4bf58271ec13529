using System.ComponentModel;
using System.ComponentModel.DataAnnotations;

namespace Titan.Training.Configuration;

/// <summary>Validation during training.</summary>
public sealed record ValidationSection
{
    /// <summary>Validate at step 1 and every freq steps.</summary>
    [Description("Validate at step 1 and every freq steps.")]
    public bool Enable { get; init; }

    /// <summary>Dataset, as in training.</summary>
    [Description("Dataset, as in training.")]
    public string Dataset { get; init; } = "titan_sample_validation";

    /// <summary>As in training.</summary>
    [Description("As in training.")]
    public string? DatasetPath { get; init; }

    /// <summary>Sequences per rank.</summary>
    [Description("Sequences per rank.")]
    [Range(1, int.MaxValue)]
    public int LocalBatchSize { get; init; } = 8;

    /// <summary>Tokens per sequence.</summary>
    [Description("Tokens per sequence.")]
    [Range(1, int.MaxValue)]
    public int SeqLen { get; init; } = 2048;

    /// <summary>Steps between validations.</summary>
    [Description("Steps between validations.")]
    [Range(1, int.MaxValue)]
    public int Freq { get; init; } = 10;

    /// <summary>Batches; -1 for the whole set, in which every token counts once.</summary>
    [Description("Batches; -1 for the whole set, in which every token counts once.")]
    [Range(-1, int.MaxValue), DeniedValues(0)]
    public int Steps { get; init; } = -1;

    /// <summary>Loading.</summary>
    [Description("Loading.")]
    public DataloaderSection Dataloader { get; init; } = new();
}
