using Titan.Abstractions;

namespace Titan.Training.Checkpoints;

/// <summary>A box of a tensor's indices: per dimension where it begins and how long it is. A scalar's box has no dimensions and one element.</summary>
internal sealed record Box(IReadOnlyList<long> Offset, IReadOnlyList<long> Shape)
{
    public static Box Of(ShardLayout layout) => new(layout.Offset, layout.Shape);

    public bool IsEmpty => Shape.Any(s => s == 0);

    /// <summary>What both contain; null when that is nothing.</summary>
    public Box? Intersect(Box other)
    {
        long[] offset = new long[Shape.Count], shape = new long[Shape.Count];
        for (var d = 0; d < offset.Length; d++)
        {
            offset[d] = Math.Max(Offset[d], other.Offset[d]);
            shape[d] = Math.Min(Offset[d] + Shape[d], other.Offset[d] + other.Shape[d]) - offset[d];
            if (shape[d] <= 0) return null;
        }

        return new Box(offset, shape);
    }

    /// <summary>What is left of this when <paramref name="inner"/>, a box within it, is taken out: boxes that do not overlap, two a dimension at most.</summary>
    public IEnumerable<Box> Without(Box inner)
    {
        var rest = this;
        for (var d = 0; d < Shape.Count; d++)
        {
            var (begin, end) = (rest.Offset[d], rest.Offset[d] + rest.Shape[d]);
            var (from, to) = (inner.Offset[d], inner.Offset[d] + inner.Shape[d]);
            if (from > begin) yield return rest.Along(d, begin, from);
            if (to < end) yield return rest.Along(d, to, end);
            rest = rest.Along(d, from, to);
        }
    }

    /// <summary>The runs of elements that lie together in a tensor of the given shape: the inner dimensions that the box has all of, and one more.</summary>
    /// <param name="whole">The tensor's shape.</param>
    /// <returns>For each run where it begins, in elements; in the order of the box's elements.</returns>
    public IEnumerable<(long Begin, long Length)> Runs(IReadOnlyList<long> whole)
    {
        if (IsEmpty) yield break;
        var outer = Shape.Count;
        long length = 1;
        while (outer > 0)
        {
            length *= Shape[--outer];
            if (Shape[outer] != whole[outer]) break;
        }

        var index = new long[outer];
        do
        {
            long begin = 0;
            for (var d = 0; d < whole.Count; d++) begin = begin * whole[d] + Offset[d] + (d < outer ? index[d] : 0);
            yield return (begin, length);
        }
        while (Next(index));
    }

    /// <inheritdoc />
    public override string ToString() => $"[{string.Join(", ", Offset.Zip(Shape, (o, s) => $"{o}..{o + s}"))}]";

    /// <summary>The next index of the outer dimensions; false after the last.</summary>
    private bool Next(long[] index)
    {
        for (var d = index.Length - 1; d >= 0; d--)
        {
            if (++index[d] < Shape[d]) return true;
            index[d] = 0;
        }

        return false;
    }

    private Box Along(int dimension, long from, long to)
    {
        long[] offset = [.. Offset], shape = [.. Shape];
        (offset[dimension], shape[dimension]) = (from, to - from);
        return new Box(offset, shape);
    }
}
