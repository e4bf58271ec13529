using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>
/// Looks ids [n] up in a table [V, D], or in the rows of it that this rank has: zeros for those that others have, so that the sum over ranks is the lookup in the whole.
/// The gradient of a row is summed in fp32 over all places where its id stands, also where the table travelled in the compute dtype: a frequent token stands in
/// thousands of places, and the sum must not depend on how many ranks share them.
/// </summary>
internal sealed class EmbeddingFunction(IWeightSource source, ShardLayout part, ScalarType type) : GuardedFunction
{
    /// <summary>[n, D] in <paramref name="type"/>.</summary>
    public static Tensor Rows(IWeightSource source, Tensor ids, ShardLayout? part, ScalarType type)
    {
        // The whole table checks ids itself. A device that runs ahead is not waited for.
        if (part is not null && ids.device_type == TorchSharp.DeviceType.CPU && ids.numel() > 0)
        {
            using Tensor least = ids.min(), most = ids.max();
            long low = least.item<long>(), high = most.item<long>();
            if (low < 0 || high >= part.GlobalShape[0]) throw new ArgumentException($"token id {(low < 0 ? low : high)}; expected 0 to {part.GlobalShape[0] - 1}, the rows of the embedding");
        }

        return new EmbeddingFunction(source, part ?? ShardLayout.Whole(source.Layout.GlobalShape), type).Apply(source.Parameter, ids);
    }

    protected override Tensor Forward(Tensor[] inputs)
    {
        var ids = inputs[1];
        SaveForBackward(ids);
        // What travels between ranks travels in the compute dtype; where nothing travels, only the few rows are cast.
        var table = source.Gather(source is ParameterSource ? source.Parameter.dtype : type);
        if (part.IsWhole) return table.index_select(0, ids).to(type);
        var (local, elsewhere) = Local(ids, part);
        return table.index_select(0, local).to(type).masked_fill(elsewhere, 0);
    }

    protected override Tensor?[] Backward(Tensor gradient)
    {
        var ids = Saved(0);
        var wide = gradient.to(ScalarType.Float32);
        var local = ids;
        if (!part.IsWhole)
        {
            (local, var elsewhere) = Local(ids, part);
            wide = wide.masked_fill(elsewhere, 0);
        }

        var sum = zeros([.. part.Shape], dtype: ScalarType.Float32, device: gradient.device).index_add_(0, local, wide, 1);
        WeightGradient.Deliver(source, sum);
        return [null, null];
    }

    /// <summary>Rows of the part, 0 for those elsewhere, and which those are [n, 1].</summary>
    private static (Tensor Local, Tensor Elsewhere) Local(Tensor ids, ShardLayout part)
    {
        var local = ids - part.Offset[0];
        var elsewhere = local.lt(0).logical_or(local.ge(part.Shape[0]));
        return (local.masked_fill(elsewhere, 0), elsewhere.unsqueeze(1));
    }
}
