using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>How the rows of a matrix are divided into consecutive groups, one for each expert; groups may be empty. Rows after the last group belong to none.</summary>
public sealed class RowGroups
{
    private long[]? host;

    /// <summary>Groups whose ends may be known to the device alone.</summary>
    /// <param name="ends">int32 [E], where each group ends (exclusive); on the device of the rows, so that kernels read it without the host. Never decreasing.</param>
    /// <param name="multiple">What every end is a multiple of because of how it was made: whoever needs that much looks no further, and need not wait for a GPU.</param>
    public RowGroups(Tensor ends, int multiple = 1)
    {
        if (ends.dtype != ScalarType.Int32 || ends.dim() != 1)
            throw new ArgumentException($"ends of groups: {ends.dtype} [{string.Join(", ", ends.shape)}]; expected int32 [E]");
        (Ends, Multiple, Count) = (ends, multiple, (int)ends.shape[0]);
    }

    /// <summary>int32 [E], where each group ends (exclusive), on the device of the rows.</summary>
    public Tensor Ends { get; }

    /// <summary>What every end is a multiple of, as its maker says.</summary>
    public int Multiple { get; }

    /// <summary>E.</summary>
    public int Count { get; }

    /// <summary>The ends on the host. Read once; of groups on a GPU that waits for the device.</summary>
    public IReadOnlyList<long> HostEnds
    {
        get
        {
            if (host is not null) return host;
            using var none = no_grad();
            using var there = Ends.to(ScalarType.Int64, CPU);
            return host = there.data<long>().ToArray();
        }
    }

    /// <summary>Groups whose ends the host knows.</summary>
    /// <param name="ends">Where each group ends (exclusive).</param>
    /// <param name="device">Where the rows are.</param>
    /// <param name="multiple">What every end is a multiple of.</param>
    public static RowGroups Of(IReadOnlyList<long> ends, Device device, int multiple = 1) =>
        new(tensor(ends.Select(e => (int)e).ToArray(), dtype: ScalarType.Int32, device: device), multiple) { host = [.. ends] };

    /// <summary>The same groups in backward, where the tensor of forward is gone: a function saves <see cref="Ends"/> with its inputs.</summary>
    /// <param name="saved">The ends as they were saved.</param>
    public RowGroups Over(Tensor saved) => new(saved, Multiple) { host = host };

    /// <summary>Rows of a group: the first, and how many.</summary>
    /// <param name="group">0 to E - 1.</param>
    public (long Begin, long Length) this[int group]
    {
        get
        {
            var begin = group == 0 ? 0 : HostEnds[group - 1];
            return (begin, HostEnds[group] - begin);
        }
    }

    /// <summary>
    /// Refuses groups that do not divide so many rows, or do not begin at multiples: a kernel would read the neighbour's rows. Where only a GPU knows the ends, it relies on <see cref="Multiple"/> if
    /// that is enough, else it waits for them.
    /// </summary>
    /// <param name="rows">M.</param>
    /// <param name="multiple">What sizes must be multiples of; 1 for no rule.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.RunFailed"/>, naming the group.</exception>
    public void Check(long rows, int multiple = 1)
    {
        if (host is null && Ends.device_type != TorchSharp.DeviceType.CPU && Multiple % multiple == 0) return;
        for (var e = 0; e < Count; e++)
        {
            var (begin, length) = this[e];
            if (length < 0 || HostEnds[e] > rows)
                throw new TitanException(ExitCode.RunFailed, $"group {e} of {Count}: rows {begin} to {HostEnds[e]} of {rows}; expected ends that do not decrease and stay within the rows");
            if (length % multiple != 0)
                throw new TitanException(ExitCode.RunFailed, $"group {e} of {Count} has {length} rows; expected a multiple of {multiple}: fill it up with rows of zeros");
        }
    }
}
