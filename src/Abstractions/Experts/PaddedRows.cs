using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>
/// Rows sorted by group, moved apart so that every group begins at a multiple and is filled up with rows of zeros; an empty group gets one multiple of them, as upstream's. Sizes stay on the
/// device: M is the most that N rows can need, and rows after the last group belong to none. With a multiple of 1 nothing moves.
/// </summary>
public sealed class PaddedRows : IExpertExchange
{
    /// <summary>The one there is: for a layer whose experts are all here.</summary>
    public static PaddedRows Instance { get; } = new();

    private PaddedRows() { }

    /// <summary>How many rows N rows need at the most.</summary>
    /// <param name="rows">N.</param>
    /// <param name="groups">Their groups.</param>
    /// <param name="multiple">Groups begin at multiples of this.</param>
    public static long Most(long rows, long groups, int multiple) => multiple == 1 ? rows : (rows + groups * multiple + multiple - 1) / multiple * multiple;

    /// <summary>Where the groups end, and where each row comes to lie.</summary>
    /// <param name="counts">int64 [R, E]: the rows arrive in R runs, each of them sorted by group.</param>
    /// <param name="rows">N, the sum of the counts.</param>
    /// <param name="multiple">Groups begin at multiples of this.</param>
    /// <returns>The groups of the M rows, and int64 [N] with the new place of each row; null where each stays.</returns>
    public static (RowGroups Groups, Tensor? Places) Layout(Tensor counts, long rows, int multiple)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        var sizes = counts.sum([0]);
        if (multiple > 1) sizes = sizes.clamp_min(1).add(multiple - 1).div(multiple, RoundingMode.floor).mul(multiple);
        var ends = sizes.cumsum(0);
        var groups = new RowGroups(ends.to(ScalarType.Int32).MoveToOuterDisposeScope(), multiple);
        if (multiple == 1 && counts.shape[0] == 1) return (groups, null);
        // A run's part of a group lies behind those of the runs before it.
        var there = (ends - sizes).unsqueeze(0) + counts.cumsum(0) - counts;
        var flat = counts.reshape(-1);
        var arrived = flat.cumsum(0);
        var row = arange(rows, dtype: ScalarType.Int64, device: counts.device);
        var part = searchsorted(arrived, row, right: true);
        var places = row + (there.reshape(-1) - (arrived - flat)).index_select(0, part);
        return (groups, places.MoveToOuterDisposeScope());
    }

    /// <inheritdoc />
    public ExpertRows Dispatch(Tensor rows, Tensor counts, int multiple)
    {
        var (groups, places) = Layout(counts.unsqueeze(0), rows.shape[0], multiple);
        var there = places is null ? rows.alias() : SpreadRows.To(rows, places, Most(rows.shape[0], counts.shape[0], multiple));
        return new ExpertRows(new Activation(there), groups, places);
    }

    /// <inheritdoc />
    public Tensor Combine(Tensor results, ExpertRows dispatched) => dispatched.State is Tensor places ? SpreadRows.Back(results, places) : results.alias();
}
