namespace Titan.Kernels.Matmuls;

/// <summary>
/// One operand of a product as its packing sees it: lanes are what the result keeps (rows of the left, columns of the right operand), depth is what the sum runs over.
/// Rows and columns, transposed or not, are a matter of two strides.
/// </summary>
internal readonly unsafe struct PanelView
{
    /// <summary>The first element.</summary>
    public byte* Data { get; init; }

    /// <summary>How many lanes there are in memory from <see cref="Data"/> on.</summary>
    public long Lanes { get; init; }

    /// <summary>Elements from a lane to the next.</summary>
    public long LaneStride { get; init; }

    /// <summary>Elements from a depth to the next.</summary>
    public long DepthStride { get; init; }

    /// <summary>e8m0 scales of blocks along the depth; null where there are none.</summary>
    public byte* Scales { get; init; }

    /// <summary>Scales from a lane to the next.</summary>
    public long ScaleLaneStride { get; init; }

    /// <summary>Scales from a block to the next.</summary>
    public long ScaleDepthStride { get; init; }

    /// <summary>Elements in a block.</summary>
    public int BlockLength { get; init; }

    /// <summary>The view from a lane and a depth on; with scales the depth is the start of a block.</summary>
    public PanelView From(long lane, long depth, int elementSize) => this with
    {
        Data = Data + (lane * LaneStride + depth * DepthStride) * elementSize,
        Lanes = Lanes - lane,
        Scales = Scales is null ? null : Scales + lane * ScaleLaneStride + depth / BlockLength * ScaleDepthStride,
    };
}
