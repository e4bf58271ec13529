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
        // One sum over the rows of all parameters that as many ranks hold: a launch for each operation, not one for each parameter.
        var squares = from p in parameters
            let gradient = p.Parameter.grad
            where gradient is not null && gradient.numel() > 0
            group RowNorms(gradient) by p.Replicas into rows
            select cat([.. rows]).to(ScalarType.Float64).square().sum(dim: 0L) / rows.Key;
        var sums = squares.ToList();
        return sums.Count == 0 ? 0 : stack(sums).sum(dim: 0L).item<double>();
    }

    /// <summary>The norms of a gradient's rows [R], fp32; of one without rows, of its elements.</summary>
    private static Tensor RowNorms(Tensor gradient)
    {
        var rows = gradient.dim() > 1 ? gradient.reshape(-1, gradient.size(-1)) : gradient.reshape(-1, 1);
        return rows.to(ScalarType.Float32).norm(dim: 1);
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
