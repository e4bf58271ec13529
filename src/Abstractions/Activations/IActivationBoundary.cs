namespace Titan.Abstractions;

/// <summary>A module whose input or output a parallelism may exchange between ranks.</summary>
public interface IActivationBoundary
{
    /// <summary>Differentiable; given the module's input, returns what the module sees instead. Null: the input itself.</summary>
    Func<Activation, Activation>? BeforeForward { get; set; }

    /// <summary>Differentiable; given the module's output, returns what the model sees instead. Null: the output itself.</summary>
    Func<Activation, Activation>? AfterForward { get; set; }
}
