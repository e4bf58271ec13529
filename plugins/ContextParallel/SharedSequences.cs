using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.ContextParallel;

/// <summary>A model whose ranks share sequences: each takes its two pieces.</summary>
internal sealed class SharedSequences(IProcessGroup group, SequencePieces pieces, string note) : IAppliedParallelism
{
    // Micro-batches of a length have the same places; a model that computes something of them may do it once.
    private readonly Dictionary<long, Tensor> places = [];

    public IReadOnlyList<string> Notes => [note];

    public ModelBatch ShareOf(ModelBatch batch)
    {
        var length = batch.Tokens.shape[1];
        if (!places.TryGetValue(length, out var own)) places[length] = own = pieces.Places(group.Rank, length, batch.Tokens.device).DetachFromDisposeScope();
        return new ModelBatch(batch.Tokens.index_select(1, own), batch.Labels.index_select(1, own), batch.Positions?.index_select(-1, own) ?? own);
    }
}
