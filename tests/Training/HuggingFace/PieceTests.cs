using CsCheck;
using Titan.Abstractions;
using Titan.Models;
using static TorchSharp.torch;

namespace Titan.Training.Tests.HuggingFace;

/// <summary>A piece that is cut into smaller ones is the same elements.</summary>
public sealed class PieceTests
{
    [Fact]
    public void The_parts_of_a_piece_are_the_piece() =>
        Gen.Select(Gen.Int[0, 3], Gen.Int[1, 3], Gen.Int[1, 6], Gen.Int[1, 6], Gen.Int[1, 40]).Sample((kind, e, n, k, most) =>
        {
            using var scope = NewDisposeScope();
            var (rule, shape) = kind switch
            {
                0 => ((TensorRule)new TensorRule.Renamed("w", [n, k], "x"), new long[] { n, k }),
                1 => (new TensorRule.Slice("w", [n, k], "x", [k + 2, n + 1], 2, 1, IsTransposed: true), [n, k]),
                2 => (new TensorRule.RotaryRows("w", [e * 2 * n, k], "x", 2 * n), [e * 2 * n, k]),
                _ => (new TensorRule.Stacked("w", [e, n, k], i => $"x{i}"), [e, n, k]),
            };
            var adapter = new StateDictAdapter([rule]);
            var foreign = adapter.Foreign.ToDictionary(f => f.Key, f => rand([.. f.Value]));
            Tensor whole = full(shape, double.NaN), parts = full(shape, double.NaN);
            foreach (var piece in adapter.PiecesOf("w", ShardLayout.Whole(shape)))
            {
                piece.CopyInto(whole, BoxOf(foreign, piece));
                foreach (var part in piece.InPartsOf(most))
                {
                    Assert.True(part.Shape.Aggregate(1L, (a, b) => a * b) <= most);
                    part.CopyInto(parts, BoxOf(foreign, part));
                    Assert.True(part.TakeFrom(parts).eq(BoxOf(foreign, part)).all().item<bool>());
                }
            }

            Assert.True(whole.eq(parts).all().item<bool>());
        });

    private static Tensor BoxOf(IReadOnlyDictionary<string, Tensor> tensors, TensorPiece piece) => new ShardLayout(tensors[piece.Foreign].shape, piece.Offset, piece.Shape).Of(tensors[piece.Foreign]).contiguous();
}
