using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>A module whose input or output a parallelism may exchange between ranks.</summary>
public interface IActivationBoundary
{
    /// <summary>Differentiable; given the module's input, returns what the module sees instead. Null: the input itself.</summary>
    Func<Tensor, Tensor>? BeforeForward { get; set; }

    /// <summary>Differentiable; given the module's output, returns what the model sees instead. Null: the output itself.</summary>
    Func<Tensor, Tensor>? AfterForward { get; set; }
}
