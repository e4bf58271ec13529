namespace Titan.Kernels.Cuda;

/// <summary>How many blocks, and how many threads in each. Kernels stride over their work, so any grid is right; it only decides how much runs at once.</summary>
internal readonly record struct LaunchGrid(uint X, uint Y, uint BlockX, uint BlockY)
{
    /// <summary>Threads of a block, unless a kernel wants otherwise.</summary>
    public const uint Threads = 256;

    /// <summary>The driver's limit of blocks in the second dimension.</summary>
    private const long MaxY = 65535;

    /// <summary>Blocks for work in one dimension, at most <paramref name="limit"/> of them.</summary>
    /// <param name="work">Units of work.</param>
    /// <param name="perBlock">What a block does in one stride.</param>
    /// <param name="limit">Enough to fill the device; the rest is strided over.</param>
    public static LaunchGrid Line(long work, long perBlock, long limit) => new(Count(work, perBlock, limit), 1, Threads, 1);

    /// <summary>Blocks for columns and, in the second dimension, rows.</summary>
    public static LaunchGrid Plane(long work, long perBlock, long rows, long limit)
    {
        var x = Count(work, perBlock, limit);
        return new LaunchGrid(x, (uint)Math.Clamp(Math.Min(rows, limit / x), 1, MaxY), Threads, 1);
    }

    /// <summary>
    /// As <see cref="Plane"/>, for kernels that leave one partial result per block in the second dimension: each takes at least 32 rows, so that the partial results stay
    /// small beside what was read.
    /// </summary>
    public static LaunchGrid Partials(long work, long perBlock, long rows, long limit) => Plane(work, perBlock, (rows + 31) / 32, limit);

    private static uint Count(long work, long perBlock, long limit) => (uint)Math.Clamp((work + perBlock - 1) / perBlock, 1, Math.Max(limit, 1));

    public override string ToString() => $"<<<({X}, {Y}), ({BlockX}, {BlockY})>>>";
}
