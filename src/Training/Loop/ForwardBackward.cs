using Titan.Abstractions;
using Titan.Training.Models;
using static TorchSharp.torch;

namespace Titan.Training.Loop;

/// <summary>A forward and backward pass over a batch: adds to the parameters' gradients.</summary>
/// <param name="model">The model.</param>
/// <param name="loss">The loss.</param>
/// <param name="afterBackward">Runs when the gradients of this rank are there.</param>
internal sealed class ForwardBackward(LanguageModel model, LossFunction loss, Action? afterBackward = null)
{
    /// <summary>Runs it.</summary>
    /// <param name="tokens">[B, S] int64.</param>
    /// <param name="labels">[B * S] int64.</param>
    /// <param name="count">What the sum of losses is divided by.</param>
    /// <returns>The loss.</returns>
    public double Run(Tensor tokens, Tensor labels, long count)
    {
        using var scope = NewDisposeScope();
        var logits = model.call(tokens);
        var mean = loss(logits, labels, count);
        logits.Dispose();
        mean.backward();
        BackwardFailure.ThrowIfAny();
        afterBackward?.Invoke();
        return mean.item<float>();
    }
}
