using Titan.Abstractions;

namespace Titan.Models;

/// <summary>Where one of our tensors, or a run of its entries, is in another layout.</summary>
/// <param name="Fqn">Our name.</param>
/// <param name="Whole">Our shape.</param>
public abstract record TensorRule(string Fqn, IReadOnlyList<long> Whole)
{
    /// <summary>The foreign tensors that the rule reads, with their shapes.</summary>
    public abstract IEnumerable<(string Name, IReadOnlyList<long> Shape)> Foreign { get; }

    /// <summary>The pieces of a part that is not empty.</summary>
    internal abstract IEnumerable<TensorPiece> Pieces(ShardLayout part);

    /// <summary>The three matrices of a SwiGLU, w1, w2 and w3 here: <c>gate_proj</c>, <c>down_proj</c> and <c>up_proj</c> in most of Hugging Face's families.</summary>
    /// <param name="hidden">The hidden dimension.</param>
    /// <param name="dimension">The model dimension.</param>
    /// <param name="ours">The layer's name here.</param>
    /// <param name="theirs">Its name there.</param>
    public static IReadOnlyList<TensorRule> SwiGlu(long hidden, long dimension, string ours, string theirs) =>
    [
        new Renamed($"{ours}.w1.weight", [hidden, dimension], $"{theirs}.gate_proj.weight"),
        new Renamed($"{ours}.w2.weight", [dimension, hidden], $"{theirs}.down_proj.weight"),
        new Renamed($"{ours}.w3.weight", [hidden, dimension], $"{theirs}.up_proj.weight"),
    ];

    /// <summary>Another name.</summary>
    /// <param name="Fqn">Our name.</param>
    /// <param name="Whole">Our shape.</param>
    /// <param name="Name">Theirs.</param>
    public sealed record Renamed(string Fqn, IReadOnlyList<long> Whole, string Name) : TensorRule(Fqn, Whole)
    {
        /// <inheritdoc />
        public override IEnumerable<(string Name, IReadOnlyList<long> Shape)> Foreign => [(Name, Whole)];

        internal override IEnumerable<TensorPiece> Pieces(ShardLayout part) => [new(Name, part.Offset, part.Shape, false, new long[part.Shape.Count])];
    }

    /// <summary>A part of a foreign matrix, or of each of a stack of them: where several of ours are one of theirs, or where theirs lies the other way round.</summary>
    /// <param name="Fqn">Our name.</param>
    /// <param name="Whole">Our shape [N, K] or [E, N, K].</param>
    /// <param name="Name">Their name.</param>
    /// <param name="ForeignShape">Their shape.</param>
    /// <param name="Row">Where ours begins in theirs.</param>
    /// <param name="Column">The same in its columns.</param>
    /// <param name="IsTransposed">Whether theirs is transposed.</param>
    public sealed record Slice(string Fqn, IReadOnlyList<long> Whole, string Name, IReadOnlyList<long> ForeignShape, long Row, long Column, bool IsTransposed) : TensorRule(Fqn, Whole)
    {
        /// <inheritdoc />
        public override IEnumerable<(string Name, IReadOnlyList<long> Shape)> Foreign => [(Name, ForeignShape)];

        internal override IEnumerable<TensorPiece> Pieces(ShardLayout part)
        {
            var (row, column) = IsTransposed ? (^1, ^2) : (^2, ^1);
            long[] offset = [.. part.Offset], shape = [.. part.Shape];
            return
            [
                new(Name, [.. offset[..^2], Row + offset[row], Column + offset[column]], [.. shape[..^2], shape[row], shape[column]], IsTransposed, new long[shape.Length]),
            ];
        }
    }

    /// <summary>A projection onto heads that are rotated: neighbours here, halves there. Row 2j + p of a head here is row p · D / 2 + j there.</summary>
    /// <param name="Fqn">Our name.</param>
    /// <param name="Whole">Our shape [heads · D, K], or [heads · D] of a bias.</param>
    /// <param name="Name">Their name.</param>
    /// <param name="HeadDimension">D.</param>
    public sealed record RotaryRows(string Fqn, IReadOnlyList<long> Whole, string Name, long HeadDimension) : TensorRule(Fqn, Whole)
    {
        /// <inheritdoc />
        public override IEnumerable<(string Name, IReadOnlyList<long> Shape)> Foreign => [(Name, Whole)];

        internal override IEnumerable<TensorPiece> Pieces(ShardLayout part)
        {
            long begin = part.Offset[0], end = begin + part.Shape[0];
            for (var head = begin / HeadDimension; head * HeadDimension < end; head++)
            {
                for (var p = 0L; p < 2; p++)
                {
                    // The rows 2j + p of the head that are in the part.
                    var origin = head * HeadDimension + p;
                    var first = Math.Max(0, (begin - origin + 1) / 2);
                    var last = Math.Min(HeadDimension / 2, (end - origin + 1) / 2);
                    if (last <= first) continue;
                    yield return new TensorPiece(Name, [head * HeadDimension + p * HeadDimension / 2 + first, .. part.Offset.Skip(1)], [last - first, .. part.Shape.Skip(1)], false,
                        [origin + 2 * first - begin, .. new long[part.Shape.Count - 1]], RowStep: 2);
                }
            }
        }
    }

    /// <summary>A tensor [E, ...] whose entries have names of their own there.</summary>
    /// <param name="Fqn">Our name.</param>
    /// <param name="Whole">Our shape.</param>
    /// <param name="Name">The name of entry e.</param>
    public sealed record Stacked(string Fqn, IReadOnlyList<long> Whole, Func<long, string> Name) : TensorRule(Fqn, Whole)
    {
        /// <inheritdoc />
        public override IEnumerable<(string Name, IReadOnlyList<long> Shape)> Foreign
        {
            get
            {
                for (var e = 0L; e < Whole[0]; e++) yield return (Name(e), [.. Whole.Skip(1)]);
            }
        }

        internal override IEnumerable<TensorPiece> Pieces(ShardLayout part)
        {
            for (var e = 0L; e < part.Shape[0]; e++)
                yield return new TensorPiece(Name(part.Offset[0] + e), [.. part.Offset.Skip(1)], [.. part.Shape.Skip(1)], false, [e, .. new long[part.Shape.Count - 1]]);
        }
    }
}
