using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>Rows to distinct places among rows of zeros, or back from there: each the gradient of the other.</summary>
public sealed class SpreadRows : GuardedFunction
{
    private readonly Tensor places;
    private readonly long? rows;
    private long length;

    private SpreadRows(Tensor places, long? rows) => (this.places, this.rows) = (places, rows);

    /// <summary>[N, D] to [M, D], zeros where no row comes to lie; differentiable.</summary>
    /// <param name="x">[N, D].</param>
    /// <param name="places">int64 [N], all different, each in [0, M).</param>
    /// <param name="rows">M.</param>
    public static Tensor To(Tensor x, Tensor places, long rows) => new SpreadRows(places, rows).Apply(x);

    /// <summary>[M, D] to [N, D]; differentiable.</summary>
    /// <param name="x">[M, D].</param>
    /// <param name="places">int64 [N], all different, each in [0, M).</param>
    public static Tensor Back(Tensor x, Tensor places) => new SpreadRows(places, null).Apply(x);

    /// <inheritdoc />
    protected override Tensor Forward(Tensor[] inputs)
    {
        SaveForBackward(places);
        length = inputs[0].shape[0];
        return rows is { } m ? Spread(inputs[0], places, m) : inputs[0].index_select(0, places);
    }

    /// <inheritdoc />
    protected override Tensor?[] Backward(Tensor gradient) => [rows is null ? Spread(gradient, Saved(0), length) : gradient.index_select(0, Saved(0))];

    private static Tensor Spread(Tensor x, Tensor to, long rows) => zeros([rows, x.shape[1]], dtype: x.dtype, device: x.device).index_copy_(0, to, x).alias();
}
