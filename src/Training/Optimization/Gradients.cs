using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Training.Optimization;

/// <summary>Work on all gradients at once.</summary>
public static class Gradients
{
    /// <summary>This rank's part of the squared L2 norm over all gradients: what several ranks hold counts once in the sum over them. NaN and infinity stay.</summary>
    public static double SquaredNorm(IReadOnlyList<ModelParameter> parameters)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        var squares = parameters.Where(p => p.Parameter.grad is not null).Select(p => p.Parameter.grad!.to(ScalarType.Float32).norm().square() / p.Copies).ToList();
        return squares.Count == 0 ? 0 : stack(squares).sum(dim: 0L).item<float>();
    }

    /// <summary>Scales gradients of the global L2 norm <paramref name="norm"/> down to <paramref name="maxNorm"/>.</summary>
    public static void Clip(IReadOnlyList<ModelParameter> parameters, double norm, double maxNorm)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        var factor = maxNorm / (norm + 1e-6);
        // Not for NaN, which no factor mends.
        if (!(factor < 1)) return;
        foreach (var (_, parameter, _, _) in parameters) parameter.grad?.mul_(factor);
    }

    /// <summary>Sets gradients to zero, keeping their memory.</summary>
    public static void Zero(IReadOnlyList<ModelParameter> parameters)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();     // zero_ returns a second handle, which must go too
        foreach (var (_, parameter, _, _) in parameters) parameter.grad?.zero_();
    }
}
