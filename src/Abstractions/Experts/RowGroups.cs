using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>How the rows of a matrix are divided into consecutive groups, one for each expert; groups may be empty. Rows after the last group belong to none.</summary>
/// <param name="ends">int32 [E], where each group ends (exclusive); on the device of the rows, so that kernels read it without the host. Never decreasing.</param>
public sealed class RowGroups(Tensor ends)
{
    private long[]? host;

    /// <summary>int32 [E], where each group ends (exclusive), on the device of the rows.</summary>
    public Tensor Ends => ends;

    /// <summary>E.</summary>
    public int Count { get; } = (int)ends.shape[0];

    /// <summary>The ends on the host. Read once; of groups on a GPU that waits for the device.</summary>
    public IReadOnlyList<long> HostEnds
    {
        get
        {
            if (host is not null) return host;
            using var none = no_grad();
            using var there = ends.to(ScalarType.Int64, CPU);
            return host = there.data<long>().ToArray();
        }
    }

    /// <summary>Groups whose ends the host knows.</summary>
    /// <param name="ends">Where each group ends (exclusive).</param>
    /// <param name="device">Where the rows are.</param>
    public static RowGroups Of(IReadOnlyList<long> ends, Device device) => new(tensor(ends.Select(e => (int)e).ToArray(), dtype: ScalarType.Int32, device: device)) { host = [.. ends] };
}
