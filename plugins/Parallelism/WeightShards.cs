using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.Parallelism;

/// <summary>How a weight is shared out and travels: what a run gathers by, and what a plan counts.</summary>
/// <param name="Source">Where it comes from whole.</param>
/// <param name="Rows">How its rows are shared out.</param>
/// <param name="Rest">The other dimensions.</param>
/// <param name="Codec">How the weight travels; null for the compute dtype.</param>
/// <param name="WireType">Dtype of a weight that does not travel encoded.</param>
/// <param name="Ranks">Number of ranks that share it.</param>
internal sealed record WeightShards(IWeightSource Source, RowShards Rows, IReadOnlyList<long> Rest, IShardCodec? Codec, ScalarType WireType, int Ranks)
{
    /// <summary>Of a weight that is whole.</summary>
    public static WeightShards Of(UnitWeight weight, ParallelizationContext context)
    {
        var codec = context.EncodesWeights && weight.IsOperand ? ((ILinear)weight.Layer).WeightCodec : null;
        var whole = weight.Source.Parameter.shape;
        return new WeightShards(weight.Source, RowShards.Of(whole[0], context.Group.Size, codec), whole[1..], codec, weight.Slot.TravelsWhole ? weight.Source.Parameter.dtype : context.ParamType, context.Group.Size);
    }

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
