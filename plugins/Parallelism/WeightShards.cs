using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.Parallelism;

/// <summary>How a weight is shared out and travels: what a run gathers by, and what a plan counts.</summary>
/// <param name="Source">Where it comes from whole.</param>
/// <param name="Dimension">The dimension that is shared out, which travels as the first: its rows. 0, or 1 for experts that are fewer than ranks.</param>
/// <param name="Rows">How its rows are shared out.</param>
/// <param name="Rest">The other dimensions.</param>
/// <param name="Codec">How the weight travels; null for the compute dtype.</param>
/// <param name="WireType">Dtype of a weight that does not travel encoded.</param>
/// <param name="Group">The ranks that share it.</param>
internal sealed record WeightShards(IWeightSource Source, int Dimension, RowShards Rows, IReadOnlyList<long> Rest, IShardCodec? Codec, ScalarType WireType, IProcessGroup Group)
{
    /// <summary>Of a weight that is whole.</summary>
    public static WeightShards Of(UnitWeight weight, ParallelizationContext context)
    {
        var codec = context.EncodesWeights && weight.IsOperand ? (weight.Layer as ILinear)?.WeightCodec : null;
        var whole = weight.Source.Parameter.shape;
        var wire = weight.Slot.TravelsWhole ? weight.Source.Parameter.dtype : context.ParamType;
        var group = weight.ShardGroup(context);
        var dimension = weight.Layer is IGroupedLayer && group.Size > whole[0] ? 1 : 0;
        return new WeightShards(weight.Source, dimension, RowShards.Of(whole[dimension], group.Size, codec), [.. whole.Where((_, d) => d != dimension)], codec, wire, group);
    }

    /// <summary>Number of ranks that share it.</summary>
    public int Ranks => Group.Size;

    /// <summary>A view with the dimension that is shared out first, or back.</summary>
    public Tensor Turned(Tensor weight) => Dimension == 0 ? weight.alias() : weight.transpose(0, Dimension);

    /// <summary>Elements of a full shard.</summary>
    public long Elements => Rows.PerRank * Rest.Aggregate(1L, (a, b) => a * b);

    /// <summary>Which gathered form serves a use: one form where a codec says so, and where there is none.</summary>
    public WeightUse Form(WeightUse use) => Codec is { SameForBothUses: false } ? use : WeightUse.Output;

    /// <summary>What a rank sends of a form: the weight, or what its codec makes of it.</summary>
    public IEnumerable<PlannedTensor> Sent(WeightUse form) =>
        Codec is null ? [new PlannedTensor(WireType, Elements * (WireType == ScalarType.Float32 ? 4 : 2))] : Codec.Planes(form, Rows.PerRank).Select(p => new PlannedTensor(p.Type, p.Bytes));

    /// <summary>The forms whose amaxes must be reduced before they can be encoded.</summary>
    public IEnumerable<WeightUse> ScaledForms => Codec is null ? [] : new[] { WeightUse.Output, WeightUse.GradInput }.Where(use => Form(use) == use && Codec.AmaxLength(use) > 0);
}
