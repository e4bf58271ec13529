using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>A module of a model that adds a term to the loss, for example one that balances experts.</summary>
public interface IAuxiliaryLoss
{
    /// <summary>
    /// The term of the forward that has just run, as a mean over its tokens; taken once. The trainer weighs micro-batches and ranks by their tokens, as it does the loss. A part that is computed
    /// again in backward has no gradient to give: make the term outside of such a part.
    /// </summary>
    /// <returns>0-d, with a gradient; the caller disposes it. Null for no term.</returns>
    Tensor? TakeAuxiliaryLoss();
}
