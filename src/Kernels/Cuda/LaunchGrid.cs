namespace Titan.Kernels.Cuda;

/// <summary>How many blocks, and how many threads in each. Kernels stride over their work, so any grid is right; it only decides how much runs at once.</summary>
internal readonly record struct LaunchGrid(uint X, uint Y, uint BlockX, uint BlockY)
{
    /// <summary>Bytes of shared memory that a block gets beside what its kernel declares.</summary>
    public uint Shared { get; init; }

    /// <summary>Threads of a block, unless a kernel wants otherwise.</summary>
    public const uint Threads = 256;

    /// <summary>Elements of a row that a thread keeps in registers, and threads of a row at most (<c>native/rows.cuh</c>).</summary>
    private const long KeptOfRow = 16, MostOfRow = 512;

    /// <summary>A slice's partial result is a row of fp32: with this many rows it stays small beside what was read.</summary>
    private const long RowsPerSlice = 16;

    /// <summary>Four blocks of 256 threads to each multiprocessor of the GPUs that there are, roughly.</summary>
    private const long MaxSlices = 512;

    /// <summary>Shared memory that kernels declare, at most, where they ask for more.</summary>
    private const long OwnShared = 2048;

    /// <summary>The driver's limit of blocks in the second dimension.</summary>
    private const long MaxY = 65535;

    /// <summary>Blocks for work in one dimension, at most <paramref name="limit"/> of them.</summary>
    /// <param name="work">Units of work.</param>
    /// <param name="perBlock">What a block does in one stride.</param>
    /// <param name="limit">Enough to fill the device; the rest is strided over.</param>
    public static LaunchGrid Line(long work, long perBlock, long limit) => new(Count(work, perBlock, limit), 1, Threads, 1);

    /// <summary>
    /// Rows that stay in registers: as many warps for each as its width asks for (<c>native/rows.cuh</c>), and as many rows to a block as make 256 threads. Blocks stride
    /// over the rest; there are as many as run at once, 1024 threads to a multiprocessor.
    /// </summary>
    /// <param name="rows">How many.</param>
    /// <param name="width">Elements of a row.</param>
    /// <param name="limit">Enough to fill the device.</param>
    public static LaunchGrid Rows(long rows, long width, long limit)
    {
        var across = (uint)MostOfRow;
        while (across > 32 && across / 2 * KeptOfRow >= width) across /= 2;
        var down = Math.Max(Threads / across, 1);
        return new LaunchGrid(Count(rows, down, limit * Threads / 2 / (across * down)), 1, across, down);
    }

    /// <summary>The same, a block for each slice of the rows: their number depends on the shape alone, so that sums over slices are the same on every device.</summary>
    /// <param name="rows">How many.</param>
    /// <param name="width">Elements of a row.</param>
    /// <param name="staged">Tensors of 2-byte elements whose next row lies in shared memory, beside the sums (<c>native/rms_norm_backward.cu</c>).</param>
    public static LaunchGrid RowSlices(long rows, long width, int staged)
    {
        var block = Rows(rows, width, 1);
        var threads = block.BlockX * block.BlockY;
        return block with { X = Count(rows, RowsPerSlice, MaxSlices * Threads / threads), Shared = threads * (uint)(KeptOfRow * (sizeof(float) + 2 * staged)) };
    }

    /// <summary>
    /// Rows longer than registers hold: as many threads for each as have four 16-byte pieces, up to 1024; 1024 threads to a multiprocessor. A row lies in shared memory as far as that goes.
    /// </summary>
    /// <param name="rows">How many.</param>
    /// <param name="width">Elements of a row.</param>
    /// <param name="elementSize">Bytes of one.</param>
    /// <param name="limit">Enough to fill the device.</param>
    /// <param name="shared">Bytes of shared memory that a block may have.</param>
    /// <returns>The grid, and how many pieces of each thread lie in shared memory.</returns>
    public static (LaunchGrid Grid, int Slots) LongRows(long rows, long width, long elementSize, long limit, long shared)
    {
        const uint most = 1024;
        uint across = 128;
        while (across < most && across * 4 * (16 / elementSize) < width) across *= 2;
        long pieces = (width * elementSize + 15) / 16, slots = Math.Min((pieces + across - 1) / across, (shared - OwnShared) * across / most / (16 * across));
        return (new LaunchGrid(Count(rows, 1, limit * Threads / 2 / across), 1, across, 1) { Shared = (uint)(slots * 16 * across) }, (int)slots);
    }

    /// <summary>Columns of partial results: 32 to a block, each shared by 8 threads.</summary>
    public static LaunchGrid Columns(long width, long limit) => new(Count(width, 32, limit), 1, 32, Threads / 32);

    /// <summary>
    /// Positions with some heads: as many threads across as a head has 16-byte pieces, up to a warp; down, the heads in fours, then further positions.
    /// </summary>
    /// <returns>The grid, and how many threads down share a position.</returns>
    public static (LaunchGrid Grid, long HeadsAcross) Heads(long positions, long heads, long width, long elementSize, long limit)
    {
        uint across = 1, together = 1;
        while (across < 32 && across * (16 / elementSize) < width) across *= 2;
        var down = Threads / across;
        while (together < down && together * 4 < heads) together *= 2;
        return (new LaunchGrid(Count(positions, down / together, limit), 1, across, down), together);
    }

    /// <summary>
    /// Blocks for kernels that cover all columns, keep each thread to its own, and take several rows at a time: as many threads across as a row has packs, the rest of the block
    /// takes further rows.
    /// </summary>
    /// <param name="packs">Pieces of a row, one to a thread.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="rowsAtOnce">Rows that a thread takes before it goes on.</param>
    /// <param name="limit">Enough to fill the device.</param>
    /// <param name="least">Threads across at least, a power of two.</param>
    /// <param name="rowsOfBlock">Rows that a block takes at least, where it leaves a partial result behind.</param>
    public static LaunchGrid Matrix(long packs, long rows, int rowsAtOnce, long limit, uint least = 1, long rowsOfBlock = 1)
    {
        var across = least;
        while (across < packs && across < Threads) across *= 2;
        long down = Threads / across, x = Math.Max((packs + across - 1) / across, 1), each = Math.Max(down * rowsAtOnce, rowsOfBlock);
        return new LaunchGrid((uint)x, (uint)Math.Clamp((rows + each - 1) / each, 1, Math.Clamp(limit / x, 1, MaxY)), across, (uint)down);
    }

    private static uint Count(long work, long perBlock, long limit) => (uint)Math.Clamp((work + perBlock - 1) / perBlock, 1, Math.Max(limit, 1));

    public override string ToString() => $"<<<({X}, {Y}), ({BlockX}, {BlockY}){(Shared > 0 ? $", {Shared}" : "")}>>>";
}
