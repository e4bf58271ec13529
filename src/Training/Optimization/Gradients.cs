using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Training.Optimization;

/// <summary>Work on all gradients at once.</summary>
public static class Gradients
{
    /// <summary>
    /// This rank's part of the squared L2 norm over all gradients: what several ranks hold counts once in the sum over them. NaN and infinity stay. The norm of a row is
    /// taken in fp32, all sums over rows in fp64: libtorch's norm of a whole tensor adds millions of squares in fp32 (wrong by 7e-5 at 1M elements), and how wrong would
    /// depend on how the tensor is shared out over ranks.
    /// </summary>
    public static double SquaredNorm(IReadOnlyList<ModelParameter> parameters)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        var squares = parameters.Where(p => p.Parameter.grad is { } g && g.numel() > 0).Select(p => RowNorms(p.Parameter.grad!).square().sum(dim: 0L) / p.Copies).ToList();
        return squares.Count == 0 ? 0 : stack(squares).sum(dim: 0L).item<double>();
    }

    private static Tensor RowNorms(Tensor gradient)
    {
        var rows = gradient.dim() > 1 ? gradient.reshape(-1, gradient.shape[^1]) : gradient.reshape(-1, 1);
        return rows.to(ScalarType.Float32).norm(dim: 1).to(ScalarType.Float64);
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

    /// <summary>Takes the gradients away: the next backward brings new ones instead of adding to zeros, and until then their memory is free.</summary>
    public static void Clear(IReadOnlyList<ModelParameter> parameters)
    {
        foreach (var (_, parameter, _, _) in parameters) parameter.grad = null;
    }
}
