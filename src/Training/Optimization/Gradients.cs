using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Titan.Training.Optimization;

/// <summary>Work on all gradients at once.</summary>
public static class Gradients
{
    /// <summary>Scales gradients down to a global L2 norm of <paramref name="maxNorm"/>. Returns the norm before that; NaN and infinity are returned as they are.</summary>
    public static double Clip(IReadOnlyList<Parameter> parameters, double maxNorm)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        var gradients = parameters.Select(p => p.grad).OfType<Tensor>().ToList();
        if (gradients.Count == 0) return 0;
        var total = stack(gradients.Select(g => g.to(ScalarType.Float32).norm()).ToList()).norm();
        var norm = (double)total.item<float>();
        var factor = maxNorm / (norm + 1e-6);
        if (factor < 1)
            foreach (var gradient in gradients) gradient.mul_(factor);
        return norm;
    }

    /// <summary>Sets gradients to zero, keeping their memory.</summary>
    public static void Zero(IReadOnlyList<Parameter> parameters)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();     // zero_ returns a second handle, which must go too
        foreach (var parameter in parameters) parameter.grad?.zero_();
    }
}
