using System.Runtime.Intrinsics;
using Titan.Kernels.Simd;

namespace Titan.Kernels.Matmuls;

/// <summary>What happens to a tile of the product: it is added to the sums of the depths before, and after the last depth scaled, rounded once and stored.</summary>
internal readonly unsafe struct ResultTile
{
    /// <summary>Row-major [6, 16].</summary>
    public float* Tile { get; init; }

    /// <summary>Rows that belong to the result.</summary>
    public int Rows { get; init; }

    /// <summary>Columns that belong to the result.</summary>
    public int Columns { get; init; }

    /// <summary>The sums of this tile.</summary>
    public float* Sums { get; init; }

    /// <summary>Floats from a row of the sums to the next.</summary>
    public long SumStride { get; init; }

    /// <summary>Adds the tile to the sums, or sets them.</summary>
    public void Accumulate(bool isFirst)
    {
        for (var r = 0; r < Rows; r++)
        {
            float* from = Tile + r * MicroKernel.Columns, to = Sums + r * SumStride;
            // The sums have room for whole tiles.
            Vector256<float> a = Vector256.Load(from), b = Vector256.Load(from + 8);
            if (!isFirst) (a, b) = (a + Vector256.Load(to), b + Vector256.Load(to + 8));
            a.Store(to);
            b.Store(to + 8);
        }
    }

    /// <summary>Stores sums + tile, times the row's and the column's factor.</summary>
    /// <param name="isFirst">Whether there are no sums.</param>
    /// <param name="target">The first element of the tile in the result.</param>
    /// <param name="stride">Elements from a row of the result to the next.</param>
    /// <param name="rowFactors">One per row of the tile, or null with <paramref name="columnFactors"/>.</param>
    /// <param name="columnFactors">One per column of the tile, room for 16.</param>
    public void Store<TTarget>(bool isFirst, byte* target, long stride, float* rowFactors, float* columnFactors) where TTarget : struct, IElement
    {
        for (var r = 0; r < Rows; r++, target += stride * TTarget.Size)
        {
            var from = Tile + r * MicroKernel.Columns;
            Vector256<float> a = Vector256.Load(from), b = Vector256.Load(from + 8);
            if (!isFirst)
            {
                var sums = Sums + r * SumStride;
                (a, b) = (a + Vector256.Load(sums), b + Vector256.Load(sums + 8));
            }

            if (rowFactors is not null)
            {
                var factor = Vector256.Create(rowFactors[r]);
                (a, b) = (a * (factor * Vector256.Load(columnFactors)), b * (factor * Vector256.Load(columnFactors + 8)));
            }

            if (Columns == MicroKernel.Columns)
            {
                TTarget.Store16(target, 0, a, b);
                continue;
            }

            a.Store(from);
            b.Store(from + 8);
            for (var c = 0; c < Columns; c++) TTarget.Store(target, c, from[c]);
        }
    }
}
