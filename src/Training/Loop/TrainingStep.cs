using Titan.Abstractions;
using Titan.Models;
using Titan.Training.Configuration;
using Titan.Training.Losses;
using static TorchSharp.torch;

namespace Titan.Training.Loop;

/// <summary>The forward and backward of one training step, as the trainer runs them, without data and optimizer: what a benchmark times.</summary>
/// <param name="model">The model, converted.</param>
/// <param name="config">Says which loss is used.</param>
/// <param name="conversions">What its converters made of it: their after-step hooks run.</param>
public sealed class TrainingStep(LanguageModel model, JobConfig config, IReadOnlyList<IModelConversion> conversions)
{
    private readonly ForwardBackward pass = new(new ModelInputs(model, endOfDocument: null), CrossEntropy.For(config.Compile));
    private readonly IReadOnlyList<ModelParameter> parameters = ModelParameters.Of(model);

    /// <summary>Runs the step.</summary>
    /// <param name="tokens">[B, S] int64.</param>
    /// <param name="labels">[B * S] int64.</param>
    /// <returns>The mean loss.</returns>
    public double Run(Tensor tokens, Tensor labels)
    {
        using var scope = NewDisposeScope();
        Optimization.Gradients.Clear(parameters);
        var mean = pass.Run(new ModelBatch(tokens, labels.reshape(tokens.shape)), labels.numel());
        foreach (var conversion in conversions) conversion.AfterOptimizerStep();
        return mean;
    }
}
