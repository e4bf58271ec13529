using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>A model with mixtures of experts.</summary>
public interface IExpertModel
{
    /// <summary>The mixtures with their FQNs, in the order of forward; none for a dense flavor.</summary>
    IReadOnlyList<(string Fqn, IExpertLayer Layer)> ExpertLayers { get; }
}

/// <summary>A mixture of experts: routes each token to a few of them.</summary>
public interface IExpertLayer
{
    /// <summary>Experts of the whole mixture.</summary>
    int Count { get; }

    /// <summary>Experts for each token.</summary>
    int TopK { get; }

    /// <summary>The experts that are here.</summary>
    IGroupedLayer Experts { get; }

    /// <summary>Takes rows to the ranks that hold their experts and brings results back; null where all experts are here.</summary>
    IExpertExchange? Exchange { get; set; }
}

/// <summary>
/// Takes rows to the ranks that hold their experts, and brings results back. Both ways are differentiable: the gradient of one is the other. Every rank calls both for every mixture in the same
/// order, also with no rows.
/// </summary>
public interface IExpertExchange
{
    /// <summary>Sends rows to their experts. They may still travel when it returns: whoever has other work does it before it reads <see cref="ExpertRows.Rows"/>.</summary>
    /// <param name="rows">[N, D], sorted by expert of the whole mixture.</param>
    /// <param name="counts">int64 [E], rows of each expert.</param>
    /// <param name="multiple">Groups begin at multiples of this.</param>
    /// <returns>The rows of the experts that are here.</returns>
    ExpertRows Dispatch(Tensor rows, Tensor counts, int multiple);

    /// <summary>Brings results back.</summary>
    /// <param name="results">[M, D], one for each of the dispatched rows.</param>
    /// <param name="dispatched">What <see cref="Dispatch"/> gave.</param>
    /// <returns>[N, D], in the order of the rows that were sent. Of rows that several ranks hold each brings back its share, and zeros for the others: the layer's output is a partial sum there.</returns>
    Tensor Combine(Tensor results, ExpertRows dispatched);
}
