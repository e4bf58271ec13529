using TorchSharp;
using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Training.Models;

/// <summary>A model that the trainer can train: tokens [B,S] int64 to logits [B,S,V].</summary>
public abstract class LanguageModel(string name) : nn.Module<Tensor, Tensor>(name)
{
    /// <summary>What is known of the model without building it.</summary>
    public abstract ModelCounts Counts { get; }

    /// <summary>The units that a parallelism gathers and activation checkpointing repeats, with their FQNs.</summary>
    public abstract IReadOnlyList<(string Fqn, nn.Module Module)> Blocks { get; }

    /// <summary>The logits of a micro-batch, or of a rank's share of it.</summary>
    /// <exception cref="TitanException">
    /// With <see cref="ExitCode.Usage"/> where the share has positions and the model cannot be told them.
    /// </exception>
    public virtual Tensor Logits(ModelBatch batch) => batch.Positions is null
        ? call(batch.Tokens)
        : throw new TitanException(ExitCode.Usage,
            $"model {GetName()} takes no positions, which a parallelism that splits sequences gives it; set {MeshAxis.ContextParallel.DegreeKey()} to 1");

    /// <summary>Fills all parameters from a seed. Does not depend on what converters did to the model.</summary>
    public abstract void InitializeWeights(long seed);

    /// <summary>Dtype of activations; parameters keep theirs.</summary>
    public abstract void SetComputeType(ScalarType type);

    /// <summary>The activation checkpointing of block <paramref name="index"/>.</summary>
    public abstract void SetCheckpointing(int index, BlockCheckpointing mode);

    /// <summary>Puts fused kernels into the layers that have them.</summary>
    public abstract void UseFusedKernels();

    /// <summary>Called with a layer's FQN and its output when set; used to find the first non-finite output.</summary>
    public Action<string, Tensor>? Probe { get; set; }
}

/// <summary>What a block keeps for its backward.</summary>
public enum BlockCheckpointing
{
    /// <summary>Everything.</summary>
    None,

    /// <summary>Only its input; the rest is computed again.</summary>
    Full,

    /// <summary>The attention half is kept, the feed-forward half, which holds the larger activations, is computed again.</summary>
    FeedForward,
}
