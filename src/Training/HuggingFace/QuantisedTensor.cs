using Titan.Training.Checkpoints;
using static TorchSharp.torch;

namespace Titan.Training.HuggingFace;

/// <summary>A tensor that is stored as codes and scales. A box of it is made of the codes and the scales that the box has, and of nothing else.</summary>
/// <param name="Name">The tensor's name, which is that of its codes.</param>
/// <param name="Codes">The codes.</param>
/// <param name="ScaleName">The name of the scales.</param>
/// <param name="Scales">The scales.</param>
internal abstract record QuantisedTensor(string Name, StoredForeign Codes, string ScaleName, StoredForeign Scales)
{
    /// <summary>Shape of the tensor.</summary>
    public abstract IReadOnlyList<long> Shape { get; }

    /// <summary>What the shape or the dtype of the scales should be and is not; null where they fit.</summary>
    public abstract string? Fault { get; }

    /// <summary>A box in fp32. Bytes are read by <paramref name="read"/>; the caller has a dispose scope.</summary>
    public abstract Tensor Read(Box box, Func<StoredForeign, Box, Tensor> read);

    /// <summary>The boxes of a number of elements that share a scale which an interval touches.</summary>
    private protected static (long Begin, long Count) Blocks(long begin, long length, long block) => (begin / block, (begin + length - 1) / block - begin / block + 1);

    private protected static string? FaultOf(string name, StoredForeign scales, IReadOnlyList<long> shape, ScalarType type) =>
        scales.Entry.Type == type && scales.Entry.Shape.SequenceEqual(shape)
            ? null
            : $"{name} is {SafetensorsHeader.NameOf(scales.Entry.Type)} [{string.Join(", ", scales.Entry.Shape)}], expected {SafetensorsHeader.NameOf(type)} [{string.Join(", ", shape)}]";

    /// <summary>DeepSeek's: e4m3 with a factor in fp32 for each block of rows and columns, <c>NAME_scale_inv</c>; value = code · factor.</summary>
    /// <param name="Name">The tensor's name.</param>
    /// <param name="Codes">e4m3 [N, K].</param>
    /// <param name="ScaleName">The name of the factors.</param>
    /// <param name="Scales">fp32 [N / Rows, K / Columns], rounded up.</param>
    /// <param name="Rows">Rows of a block.</param>
    /// <param name="Columns">Columns of a block.</param>
    public sealed record Float8Blocks(string Name, StoredForeign Codes, string ScaleName, StoredForeign Scales, long Rows, long Columns) : QuantisedTensor(Name, Codes, ScaleName, Scales)
    {
        public override IReadOnlyList<long> Shape => Codes.Entry.Shape;

        public override string? Fault => Shape is [var n, var k]
            ? FaultOf(ScaleName, Scales, [(n + Rows - 1) / Rows, (k + Columns - 1) / Columns], ScalarType.Float32)
            : $"{Name} has {Shape.Count} dimensions, and blocks of scales are for 2";

        public override Tensor Read(Box box, Func<StoredForeign, Box, Tensor> read)
        {
            var (row, rows) = Blocks(box.Offset[0], box.Shape[0], Rows);
            var (column, columns) = Blocks(box.Offset[1], box.Shape[1], Columns);
            var scales = read(Scales, new Box([row, column], [rows, columns])).repeat_interleave(Rows, 0).repeat_interleave(Columns, 1)
                .narrow(0, box.Offset[0] - row * Rows, box.Shape[0]).narrow(1, box.Offset[1] - column * Columns, box.Shape[1]);
            return read(Codes, box).to(ScalarType.Float32).mul_(scales);
        }
    }

    /// <summary>
    /// gpt-oss's MXFP4, <c>NAME_blocks</c> [..., G, 16] and <c>NAME_scales</c> [..., G]: two e2m1 numbers a byte, the lower half first, and a power of two, biased by 127, for each 32 of them.
    /// </summary>
    /// <param name="Name">The name of the codes.</param>
    /// <param name="Codes">Bytes [..., G, 16].</param>
    /// <param name="ScaleName">The name of the powers.</param>
    /// <param name="Scales">Bytes [..., G].</param>
    public sealed record MxFloat4(string Name, StoredForeign Codes, string ScaleName, StoredForeign Scales) : QuantisedTensor(Name, Codes, ScaleName, Scales)
    {
        private const long Block = 32, Bytes = Block / 2;

        private static readonly float[] Values = [0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0f, -0.5f, -1, -1.5f, -2, -3, -4, -6];

        public override IReadOnlyList<long> Shape => [.. Codes.Entry.Shape[..^2], Codes.Entry.Shape[^2] * Block];

        public override string? Fault => Codes.Entry.Shape is [_, .., Bytes] ? FaultOf(ScaleName, Scales, Codes.Entry.Shape[..^1], ScalarType.Byte) : $"{Name} is [{string.Join(", ", Codes.Entry.Shape)}], expected [..., {Bytes}]";

        public override Tensor Read(Box box, Func<StoredForeign, Box, Tensor> read)
        {
            var (group, groups) = Blocks(box.Offset[^1], box.Shape[^1], Block);
            long[] offset = [.. box.Offset.SkipLast(1), group], shape = [.. box.Shape.SkipLast(1), groups];
            var codes = read(Codes, new Box([.. offset, 0], [.. shape, Bytes]));
            var scales = read(Scales, new Box(offset, shape)).to(ScalarType.Float32).sub_(127).exp2_().unsqueeze(-1);
            var values = tensor(Values);
            var both = stack([values[codes.bitwise_and(15).to(ScalarType.Int64)], values[codes.bitwise_right_shift(4).to(ScalarType.Int64)]], -1);
            return both.reshape([.. shape, Block]).mul_(scales).reshape([.. box.Shape.SkipLast(1), groups * Block]).narrow(-1, box.Offset[^1] - group * Block, box.Shape[^1]);
        }
    }
}
