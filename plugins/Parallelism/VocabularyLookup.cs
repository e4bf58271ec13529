using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.Parallelism;

/// <summary>Looks ids up in a part of a table: zeros for those that other ranks hold, so that the sum over ranks is the lookup in the whole.</summary>
/// <param name="layout">Which rows [n, D] of the table [V, D] the part is.</param>
internal sealed class VocabularyLookup(ShardLayout layout)
{
    /// <summary>[n, D] for ids [n].</summary>
    /// <exception cref="ArgumentException">For an id that no rank holds.</exception>
    public Tensor Rows(Tensor table, Tensor ids)
    {
        using var scope = NewDisposeScope();
        // Elsewhere the lookup itself would fail. A device that runs ahead is not waited for.
        if (ids.device_type == TorchSharp.DeviceType.CPU && ids.numel() > 0)
        {
            long low = ids.min().item<long>(), high = ids.max().item<long>();
            if (low < 0 || high >= layout.GlobalShape[0]) throw new ArgumentException($"token id {(low < 0 ? low : high)}; expected 0 to {layout.GlobalShape[0] - 1}, the rows of the embedding");
        }

        var local = ids - layout.Offset[0];
        var elsewhere = local.lt(0).logical_or(local.ge(layout.Shape[0]));
        return table.index_select(0, local.masked_fill(elsewhere, 0)).masked_fill(elsewhere.unsqueeze(1), 0).MoveToOuterDisposeScope();
    }
}
