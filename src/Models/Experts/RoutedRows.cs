using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Models;

/// <summary>
/// The way of T tokens of K experts each to N = T · K rows sorted by expert, and back. Rows of one expert stay in the order of their tokens. Both ways are permutations, so neither adds up in an
/// order that threads decide: the gradient of a token is the sum over its rows, from the first of its K experts to the last.
/// </summary>
internal sealed class RoutedRows
{
    private readonly long k;

    /// <summary>Sorts the choices.</summary>
    /// <param name="experts">int64 [T, K].</param>
    /// <param name="count">E.</param>
    public RoutedRows(Tensor experts, int count)
    {
        using var none = no_grad();
        k = experts.shape[1];
        var flat = experts.reshape(-1);
        Order = flat.sort(0, stable: true).Indices;
        Places = empty_like(Order).scatter_(0, Order, arange(Order.shape[0], dtype: ScalarType.Int64, device: Order.device));
        Counts = zeros(count, dtype: ScalarType.Int64, device: flat.device).scatter_add_(0, flat, ones_like(flat));
    }

    /// <summary>int64 [N]: which of the T · K choices a row is.</summary>
    public Tensor Order { get; }

    /// <summary>int64 [N]: which row a choice is.</summary>
    public Tensor Places { get; }

    /// <summary>int64 [E]: rows of each expert.</summary>
    public Tensor Counts { get; }

    /// <summary>Each token once for each of its experts, sorted: [T, D] to [N, D]; differentiable.</summary>
    public Tensor Sort(Tensor tokens) => new Sorting(this).Run(tokens);

    /// <summary>What belongs to each choice, sorted: [T, K] to [N, 1]; differentiable.</summary>
    public Tensor Sorted(Tensor choices) => choices.reshape(-1, 1).index_select(0, Order);

    /// <summary>Back to the order of the tokens: [N, F] to [T, K, F]; differentiable.</summary>
    public Tensor Unsort(Tensor rows) => new Unsorting(this).Run(rows).view(-1, k, rows.shape[1]);

    private sealed class Sorting(RoutedRows rows) : GuardedFunction
    {
        public Tensor Run(Tensor tokens) => Apply(tokens);

        protected override Tensor Forward(Tensor[] inputs)
        {
            SaveForBackward(rows.Places);
            using var tokens = rows.k == 1 ? rows.Order.alias() : rows.Order.div(rows.k, RoundingMode.floor);
            return inputs[0].index_select(0, tokens);
        }

        protected override Tensor?[] Backward(Tensor gradient)
        {
            using var own = gradient.index_select(0, Saved(0));
            return [rows.k == 1 ? own.alias() : own.view(-1, rows.k, own.shape[1]).sum(1, type: ScalarType.Float32).to(gradient.dtype)];
        }
    }

    private sealed class Unsorting(RoutedRows rows) : GuardedFunction
    {
        public Tensor Run(Tensor sorted) => Apply(sorted);

        protected override Tensor Forward(Tensor[] inputs)
        {
            SaveForBackward(rows.Order);
            return inputs[0].index_select(0, rows.Places);
        }

        protected override Tensor?[] Backward(Tensor gradient) => [gradient.index_select(0, Saved(0))];
    }
}
