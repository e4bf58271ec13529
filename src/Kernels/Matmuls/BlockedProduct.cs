using Titan.Kernels.Simd;
using TorchSharp;

namespace Titan.Kernels.Matmuls;

/// <summary>
/// A product in blocks that fit the caches (Goto and van de Geijn, 2008): a panel of the right operand is packed for all threads, then each thread packs blocks of the left one and runs the
/// micro-kernel over their tiles. Each sum runs over the depth in the same order and the same pieces whatever the other sizes and however many threads there are, so an element of the result
/// depends on its row and its column alone.
/// </summary>
internal sealed unsafe class BlockedProduct
{
    /// <summary>Depth of a piece of the sums: a panel of the right operand then fills three quarters of an L1 cache of 32 KiB. A multiple of every block of scales.</summary>
    public const int Depth = 384;

    /// <summary>Rows that a thread packs at a time, at most: with <see cref="Depth"/> 144 KiB, part of an L2 cache.</summary>
    private const int LeftRows = 96;

    /// <summary>Columns that are packed at a time, 3 MiB of the L3 cache, and rows whose sums are kept meanwhile.</summary>
    private const int RightColumns = 2048, SumRows = 4096;

    /// <summary>Multiply-adds that are worth a thread.</summary>
    private const long WorkPerThread = 1 << 22;

    private static readonly Scratch LeftPanels = new(LeftRows * Depth + 8), RightPanels = new(RightColumns * Depth + 8), AllSums = new(SumRows * RightColumns);

    /// <summary>Rows of the result.</summary>
    public required long Rows { get; init; }

    /// <summary>Columns of the result.</summary>
    public required long Columns { get; init; }

    /// <summary>What the sums run over.</summary>
    public required long Inner { get; init; }

    /// <summary>Lanes are the rows of the result.</summary>
    public required PanelView Left { get; init; }

    /// <summary>Lanes are the columns of the result.</summary>
    public required PanelView Right { get; init; }

    /// <summary>Row-major [Rows, Columns].</summary>
    public required byte* Target { get; init; }

    /// <summary>One factor per row of the result; null for none.</summary>
    public float* RowFactors { get; init; }

    /// <summary>One factor per column, with 15 more behind them; null where <see cref="RowFactors"/> is.</summary>
    public float* ColumnFactors { get; init; }

    /// <summary>Computes it.</summary>
    public void Run<TLeft, TRight, TTarget>() where TLeft : struct, ISourceElement where TRight : struct, ISourceElement where TTarget : struct, IElement
    {
        var threads = (int)Math.Clamp(Rows * Columns * Inner / WorkPerThread, 1, Math.Min(torch.get_num_threads(), Environment.ProcessorCount));
        float* panels = RightPanels.Rent(), sums = AllSums.Rent();
        try
        {
            for (var column = 0L; column < Columns; column += RightColumns)
            {
                for (var row = 0L; row < Rows; row += SumRows)
                {
                    var part = new Part(this, row, column, (int)Math.Min(SumRows, Rows - row), (int)Math.Min(RightColumns, Columns - column), panels, sums, threads);
                    for (var inner = 0L; inner < Inner; inner += Depth) part.AddPiece<TLeft, TRight, TTarget>(inner, (int)Math.Min(Depth, Inner - inner));
                }
            }
        }
        finally
        {
            RightPanels.Return(panels);
            AllSums.Return(sums);
        }
    }

    /// <summary>The rows and columns of the result whose sums are kept at one time.</summary>
    private sealed class Part(BlockedProduct product, long firstRow, long firstColumn, int rows, int columns, float* panels, float* sums, int threads)
    {
        private readonly int sumStride = RoundUp(columns, MicroKernel.Columns);

        /// <summary>As many as give every thread the same number of blocks.</summary>
        private readonly int blockRows = RoundUp(DivideUp(rows, RoundUp(DivideUp(rows, LeftRows), threads)), MicroKernel.Rows);

        /// <summary>Adds the products of one piece of the depth; after the last the result is stored.</summary>
        public void AddPiece<TLeft, TRight, TTarget>(long inner, int depth) where TLeft : struct, ISourceElement where TRight : struct, ISourceElement where TTarget : struct, IElement
        {
            // A few panels at a time, so that threads that are held up elsewhere do not hold up the others.
            var panelCount = DivideUp(columns, MicroKernel.Columns);
            const int together = 8;
            InParallel(DivideUp(panelCount, together), group =>
            {
                for (var p = group * together; p < Math.Min(panelCount, (group + 1) * together); p++)
                {
                    var view = product.Right.From(firstColumn + p * MicroKernel.Columns, inner, TRight.Size);
                    Packing.Pack<TRight>(view, panels + (long)p * MicroKernel.Columns * depth, depth, MicroKernel.Columns);
                }
            });
            InParallel(DivideUp(rows, blockRows), block => AddBlock<TLeft, TTarget>(block * blockRows, inner, depth));
        }

        private void AddBlock<TLeft, TTarget>(int start, long inner, int depth) where TLeft : struct, ISourceElement where TTarget : struct, IElement
        {
            var count = Math.Min(blockRows, rows - start);
            var block = LeftPanels.Rent();
            try
            {
                for (var r = 0; r < count; r += MicroKernel.Rows)
                    Packing.Pack<TLeft>(product.Left.From(firstRow + start + r, inner, TLeft.Size), block + r * depth, depth, MicroKernel.Rows);
                var tile = stackalloc float[MicroKernel.Rows * MicroKernel.Columns];
                bool isFirst = inner == 0, isLast = inner + depth == product.Inner;
                for (var c = 0; c < columns; c += MicroKernel.Columns)
                {
                    for (var r = 0; r < count; r += MicroKernel.Rows)
                    {
                        MicroKernel.Multiply(depth, block + r * depth, panels + (long)c * depth, tile);
                        var result = new ResultTile
                        {
                            Tile = tile, Rows = Math.Min(MicroKernel.Rows, count - r), Columns = Math.Min(MicroKernel.Columns, columns - c),
                            Sums = sums + (long)(start + r) * sumStride + c, SumStride = sumStride,
                        };
                        if (!isLast)
                        {
                            result.Accumulate(isFirst);
                            continue;
                        }

                        long row = firstRow + start + r, column = firstColumn + c;
                        var factors = product.RowFactors;
                        result.Store<TTarget>(
                            isFirst, product.Target + (row * product.Columns + column) * TTarget.Size, product.Columns, factors is null ? null : factors + row, product.ColumnFactors + column);
                    }
                }
            }
            finally
            {
                LeftPanels.Return(block);
            }
        }

        private void InParallel(int count, Action<int> body)
        {
            if (threads == 1 || count == 1)
            {
                for (var i = 0; i < count; i++) body(i);
                return;
            }

            var next = -1;
            Parallel.For(0, threads, _ =>
            {
                for (int i; (i = Interlocked.Increment(ref next)) < count;) body(i);
            });
        }
    }

    private static int DivideUp(int a, int b) => (a + b - 1) / b;

    private static int RoundUp(int a, int multiple) => DivideUp(a, multiple) * multiple;
}
