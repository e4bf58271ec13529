using static TorchSharp.torch;

namespace Titan.Models;

/// <summary>Elements that one of our tensors and a foreign one have in common: a box there, every so many rows of a box here.</summary>
/// <param name="Foreign">The foreign tensor's name.</param>
/// <param name="Offset">Where the box begins in the foreign tensor.</param>
/// <param name="Shape">Its shape there.</param>
/// <param name="IsTransposed">Whether the last two dimensions change places.</param>
/// <param name="Start">Where the piece begins in our part.</param>
/// <param name="RowStep">How far its rows are apart in our part.</param>
public sealed record TensorPiece(string Foreign, IReadOnlyList<long> Offset, IReadOnlyList<long> Shape, bool IsTransposed, IReadOnlyList<long> Start, long RowStep = 1)
{
    /// <summary>Copies what was read from the foreign tensor into our part.</summary>
    /// <param name="part">Our part.</param>
    /// <param name="box">[Shape], of any dtype.</param>
    public void CopyInto(Tensor part, Tensor box)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        Place(part).copy_((IsTransposed ? box.transpose(-1, -2) : box).reshape(Place(part).shape));
    }

    /// <summary>What our part has for the foreign tensor: [Shape], contiguous.</summary>
    public Tensor TakeFrom(Tensor part)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        var place = Place(part);
        return (IsTransposed ? place.transpose(-1, -2) : place).reshape([.. Shape]).contiguous().clone().MoveToOuterDisposeScope();
    }

    /// <summary>The piece in pieces that follow each other in the foreign tensor.</summary>
    /// <param name="most">Elements that each has at most.</param>
    public IEnumerable<TensorPiece> InPartsOf(long most)
    {
        var elements = Shape.Aggregate(1L, (a, b) => a * b);
        var d = 0;
        while (d < Shape.Count && Shape[d] == 1) d++;
        if (elements <= most || d == Shape.Count)
        {
            yield return this;
            yield break;
        }

        var ours = Start.Count - Shape.Count + (IsTransposed && d >= Shape.Count - 2 ? 2 * Shape.Count - 3 - d : d);
        var each = Math.Max(1, most / (elements / Shape[d]));
        for (var at = 0L; at < Shape[d]; at += each)
        {
            long[] offset = [.. Offset], shape = [.. Shape], start = [.. Start];
            (offset[d], shape[d]) = (offset[d] + at, Math.Min(each, Shape[d] - at));
            start[ours] += at * (ours == 0 ? RowStep : 1);
            foreach (var part in (this with { Offset = offset, Shape = shape, Start = start }).InPartsOf(most)) yield return part;
        }
    }

    /// <summary>The piece as a view of our part.</summary>
    private Tensor Place(Tensor part)
    {
        // A foreign tensor of fewer dimensions is one entry of ours (an expert).
        long[] shape = [.. Enumerable.Repeat(1L, part.shape.Length - Shape.Count), .. IsTransposed ? Shape.Take(Shape.Count - 2).Append(Shape[^1]).Append(Shape[^2]) : Shape];
        var view = part;
        for (var d = 0; d < shape.Length; d++)
        {
            var step = d == 0 ? RowStep : 1;
            view = view.slice(d, Start[d], Start[d] + (shape[d] - 1) * step + 1, step);
        }

        return view;
    }
}
