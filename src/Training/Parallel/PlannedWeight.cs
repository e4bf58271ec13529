using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Training.Parallel;

/// <summary>A weight as the ranks of <c>dp_shard</c> share it.</summary>
/// <param name="Fqn">FQN of the layer.</param>
/// <param name="Layer">The layer.</param>
/// <param name="Codec">How the weight travels; null for the compute dtype.</param>
/// <param name="Rows">How its rows are shared out, after tensor parallel has taken its part.</param>
/// <param name="Columns">Elements of a row.</param>
/// <param name="Ranks">Ranks of <c>dp_shard</c>.</param>
public sealed record PlannedWeight(string Fqn, IWeightedLayer Layer, IShardCodec? Codec, RowShards Rows, long Columns, int Ranks)
{
    /// <summary>Elements that the first rank owns; no rank owns more.</summary>
    public long OwnElements => Rows.OfRank(0).Count * Columns;

    /// <summary>Elements of all shards, filled up.</summary>
    public long PaddedElements => Rows.PerRank * Ranks * Columns;

    /// <summary>What backward asks for: the form of the other matmul where the weight travels encoded. Only matmuls ask again.</summary>
    public WeightUse? BackwardUse => Layer is not ILinear ? null : Codec is null ? WeightUse.Output : WeightUse.GradInput;

    /// <summary>The gathered form that serves a use.</summary>
    public WeightUse Form(WeightUse use) => Codec is { SameForBothUses: false } ? use : WeightUse.Output;

    /// <summary>Bytes of a form, gathered from all ranks.</summary>
    /// <param name="form">The form.</param>
    /// <param name="type">Dtype of what is not encoded.</param>
    public long GatheredBytes(WeightUse form, ScalarType type) => Ranks * ShardBytes(form, type).Sum();

    /// <summary>Bytes of each tensor that a rank sends of a form: the weight, or what its codec makes of it.</summary>
    public IEnumerable<long> ShardBytes(WeightUse form, ScalarType type) =>
        Codec is null ? [PaddedElements / Ranks * (type == ScalarType.Float32 ? 4 : 2)] : Codec.Planes(form, Rows.PerRank).Select(p => p.Bytes);

    /// <summary>fp32 amaxes that must be reduced before a form can be encoded.</summary>
    public long AmaxLength(WeightUse form) => Codec is not null && Form(form) == form ? Codec.AmaxLength(form) : 0;
}
