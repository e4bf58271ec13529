using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>Which part of a tensor a rank holds: a box in the whole. Initialisation and checkpoints go by it, so neither depends on how many ranks share a tensor.</summary>
/// <param name="GlobalShape">Shape of the whole.</param>
/// <param name="Offset">Where the part begins, per dimension.</param>
/// <param name="Shape">Shape of the part; a dimension may be 0 where there are more ranks than rows.</param>
public sealed record ShardLayout(IReadOnlyList<long> GlobalShape, IReadOnlyList<long> Offset, IReadOnlyList<long> Shape)
{
    /// <summary>The layout of a tensor that is not split.</summary>
    public static ShardLayout Whole(IReadOnlyList<long> shape) => new(shape, new long[shape.Count], shape);

    /// <summary>Whether the part is all of it.</summary>
    public bool IsWhole => Shape.SequenceEqual(GlobalShape);

    /// <summary>A part of this part.</summary>
    /// <param name="dimension">The dimension that is split.</param>
    /// <param name="start">Where the new part begins, counted from this part's begin.</param>
    /// <param name="length">Its length.</param>
    public ShardLayout Narrow(int dimension, long start, long length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(start + length, Shape[dimension]);
        long[] offset = [.. Offset], shape = [.. Shape];
        offset[dimension] += start;
        shape[dimension] = length;
        return new ShardLayout(GlobalShape, offset, shape);
    }

    /// <summary>The part as a view of the whole tensor.</summary>
    public Tensor Of(Tensor whole)
    {
        var part = whole.alias();
        for (var d = 0; d < GlobalShape.Count; d++)
        {
            if (Shape[d] == GlobalShape[d]) continue;
            using var wider = part;
            part = wider.narrow(d, Offset[d], Shape[d]);
        }

        return part;
    }

    /// <inheritdoc />
    public override string ToString() => $"[{string.Join(", ", Offset.Zip(Shape, (o, s) => $"{o}..{o + s}"))}] of [{string.Join(", ", GlobalShape)}]";
}
