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
    /// <param name="batch">This rank's share of a micro-batch.</param>
    /// <param name="count">What the sum of losses is divided by.</param>
    /// <returns>The loss.</returns>
    public double Run(ModelBatch batch, long count)
    {
        using var scope = NewDisposeScope();
        var logits = model.Logits(batch);
        var mean = loss(logits, batch.Labels.reshape(-1), count);
        logits.Dispose();
        mean.backward();
        BackwardFailure.ThrowIfAny();
        afterBackward?.Invoke();
        return mean.item<float>();
    }
}
