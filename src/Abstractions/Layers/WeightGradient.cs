using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>
/// Hands the gradient of a weight to its parameter, past autograd: a first gradient becomes the parameter's as it is, without a copy (autograd copies what a function returns,
/// since the function's own handle is still there), later ones are added.
/// </summary>
public static class WeightGradient
{
    /// <summary>Reduces the gradient of a gathered weight, and adds what the source gives back to its parameter's.</summary>
    /// <param name="source">Where the weight came from.</param>
    /// <param name="gradient">That of the gathered weight. Its memory is given away: nobody else may hold it. The handle stays the caller's.</param>
    public static void Deliver(IWeightSource source, Tensor gradient)
    {
        using var reduced = source.ReduceGradient(gradient);
        if (reduced is not null) Add(source.Parameter, reduced);
    }

    /// <summary>Adds to a parameter's gradient, in the parameter's dtype; the first becomes the gradient.</summary>
    /// <param name="parameter">The parameter.</param>
    /// <param name="gradient">Of the parameter's shape. Its memory is given away; the handle stays the caller's.</param>
    public static void Add(Parameter parameter, Tensor gradient)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        var typed = gradient.to(parameter.dtype);
        if (parameter.grad is { } sum) sum.add_(typed);
        else parameter.grad = typed.contiguous();
    }
}
