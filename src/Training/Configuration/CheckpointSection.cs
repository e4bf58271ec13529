using System.ComponentModel;
using System.ComponentModel.DataAnnotations;

namespace Titan.Training.Configuration;

/// <summary>Saving and resuming.</summary>
public sealed record CheckpointSection
{
    /// <summary>Save checkpoints, and resume from the newest.</summary>
    [Description("Save checkpoints, and resume from the newest.")]
    public bool Enable { get; init; }

    /// <summary>Fault tolerance.</summary>
    [Description("Fault tolerance.")]
    [NotServedYet("there is no fault-tolerant mode")]
    public bool EnableFtDataloaderCheckpoints { get; init; } = true;

    /// <summary>Folder under dump_folder.</summary>
    [Description("Folder under dump_folder.")]
    public string Folder { get; init; } = "checkpoint";

    /// <summary>Steps between checkpoints.</summary>
    [Description("Steps between checkpoints.")]
    [Range(1, int.MaxValue)]
    public int Interval { get; init; } = 500;

    /// <summary>A step folder to start from when the run has no checkpoint of its own; with initial_load_in_hf a Hugging Face folder.</summary>
    [Description("A step folder to start from when the run has no checkpoint of its own; with initial_load_in_hf a Hugging Face folder.")]
    public string? InitialLoadPath { get; init; }

    /// <summary>Of initial_load_path, load the weights alone.</summary>
    [Description("Of initial_load_path, load the weights alone.")]
    public bool InitialLoadModelOnly { get; init; } = true;

    /// <summary>Start from Hugging Face weights: those of initial_load_path, else those of model.hf_assets_path (docs/checkpoints.md).</summary>
    [Description("Start from Hugging Face weights: those of initial_load_path, else those of model.hf_assets_path (docs/checkpoints.md).")]
    public bool InitialLoadInHf { get; init; }

    /// <summary>The Hugging Face weights may be quantised: float8 with scales by blocks (DeepSeek-V3), MXFP4 (gpt-oss).</summary>
    [Description("The Hugging Face weights may be quantised: float8 with scales by blocks (DeepSeek-V3), MXFP4 (gpt-oss). Needs initial_load_in_hf.")]
    public bool InitialLoadInHfQuantized { get; init; }

    /// <summary>The last checkpoint holds the weights alone (it cannot be resumed).</summary>
    [Description("The last checkpoint holds the weights alone (it cannot be resumed).")]
    public bool LastSaveModelOnly { get; init; } = true;

    /// <summary>The last checkpoint in Hugging Face's format, with config.json and the tokenizer: laid out as transformers' own folders are.</summary>
    [Description("The last checkpoint in Hugging Face's format, with config.json and the tokenizer: laid out as transformers' own folders are.")]
    public bool LastSaveInHf { get; init; }

    /// <summary>Dtype of the last checkpoint when it holds the weights alone.</summary>
    [Description("Dtype of the last checkpoint when it holds the weights alone.")]
    [AllowedValues("float16", "bfloat16", "float32")]
    public string ExportDtype { get; init; } = "float32";

    /// <summary>Save in the background.</summary>
    [Description("Save in the background.")]
    [NotServedYet("checkpoints are written between steps")]
    public string AsyncMode { get; init; } = "disabled";

    /// <summary>Checkpoints to keep; 0 for all. 1 is refused: a failed save would leave none.</summary>
    [Description("Checkpoints to keep; 0 for all. 1 is refused: a failed save would leave none.")]
    [Range(0, int.MaxValue), DeniedValues(1, ErrorMessage = "expected 0 (keep all) or 2 and more: with 1, a save that fails would leave no checkpoint")]
    public int KeepLatestK { get; init; } = 10;

    /// <summary>The step to load; -1 for the newest.</summary>
    [Description("The step to load; -1 for the newest.")]
    [Range(-1, int.MaxValue, ErrorMessage = "expected a step, or -1 for the newest")]
    public int LoadStep { get; init; } = -1;

    /// <summary>Parts not to load, each of which starts over by itself: model, optimizer, lr_scheduler, dataloader, train_state (docs/operations.md).</summary>
    [Description("Parts not to load, each of which starts over by itself (docs/operations.md).")]
    [AllowedValues("model", "optimizer", "lr_scheduler", "dataloader", "train_state")]
    public IReadOnlyList<string> ExcludeFromLoading { get; init; } = [];

    /// <summary>Also save after step 1.</summary>
    [Description("Also save after step 1.")]
    public bool EnableFirstStepCheckpoint { get; init; }

    /// <summary>Save the initial weights as step-0 and stop.</summary>
    [Description("Save the initial weights as step-0 and stop.")]
    public bool CreateSeedCheckpoint { get; init; }

    /// <summary>Load, but never save.</summary>
    [Description("Load, but never save.")]
    public bool LoadOnly { get; init; }
}
