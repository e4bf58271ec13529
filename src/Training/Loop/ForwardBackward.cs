using Titan.Abstractions;
using Titan.Training.Losses;
using static TorchSharp.torch;

namespace Titan.Training.Loop;

/// <summary>A forward and backward pass over a batch: adds to the parameters' gradients.</summary>
/// <param name="inputs">The model, and what it is given.</param>
/// <param name="loss">The loss.</param>
/// <param name="afterBackward">Runs when the gradients of this rank are there.</param>
internal sealed class ForwardBackward(ModelInputs inputs, LossFunction loss, Action? afterBackward = null)
{
    /// <summary>Runs it.</summary>
    /// <param name="batch">This rank's share of a micro-batch.</param>
    /// <param name="count">What the sum of losses is divided by.</param>
    /// <returns>The loss, without what modules add to it.</returns>
    public double Run(ModelBatch batch, long count)
    {
        using var scope = NewDisposeScope();
        var logits = inputs.Forward(batch);
        var mean = loss(logits, batch.Labels.reshape(-1), count);
        logits.Dispose();
        inputs.WithAuxiliary(mean, batch, count).backward();
        BackwardFailure.ThrowIfAny();
        afterBackward?.Invoke();
        return mean.item<float>();
    }
}
