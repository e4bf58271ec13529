using CsCheck;
using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Quantization.Linear;
using Titan.Quantization.Scaling;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests.Linear;

/// <summary>A weight in parts: cast with what the parts have in common, and put together again.</summary>
public class ShardCodecTests
{
    private static readonly OperandCast Tiles = new OperandCast.Scaled(Float8Format.E4M3, new ScaleGranularity.Tile(32, 32), ScaleRounding.PowerOfTwo);

    private static readonly OperandCast Blocks = new OperandCast.Scaled(Float8Format.E4M3, new ScaleGranularity.Block(32), ScaleRounding.None);

    private static readonly IReadOnlyDictionary<string, LinearRecipe> Recipes = new Dictionary<string, LinearRecipe>(Numbers.All)
    {
        ["tiles"] = new(new(Blocks, Tiles), new(Blocks, Tiles), new(Blocks, Blocks)),
    };

    public static TheoryData<string, WeightUse> Uses()
    {
        var data = new TheoryData<string, WeightUse>();
        foreach (var name in Recipes.Keys)
            foreach (var use in Enum.GetValues<WeightUse>())
                data.Add(name, use);
        return data;
    }

    [Theory]
    [MemberData(nameof(Uses))]
    public void Shards_that_are_cast_by_themselves_and_put_together_are_the_cast_of_the_whole(string recipe, WeightUse use)
    {
        const int K = 64;
        var engine = Numbers.Engine(Recipes[recipe]);
        Gen.Select(Gen.Int[1, 4].Array[1, 5], Gen.Int[0, 10000]).Sample((parts, seed) =>
        {
            using var scope = NewDisposeScope();
            manual_seed(seed);
            var multiple = ShardCodec.For(engine, new LinearShape(K, 32), new WeightWire(false))!.RowMultiple;
            int[] rows = [.. parts.Select(p => p * Math.Max(multiple, 16))];
            // Each part has another largest value.
            var w = cat([.. rows.Select((n, i) => randn(n, K) * Math.Pow(3, (i + seed) % 4))], 0);
            var codec = ShardCodec.For(engine, new LinearShape(K, w.shape[0]), new WeightWire(false))!;
            var shards = w.split([.. rows.Select(n => (long)n)], 0);
            var amax = codec.AmaxLength(use) == 0 ? null : shards.Select(s => codec.Amax(s, use)).Aggregate((a, b) => a.maximum(b));
            var encoded = shards.Select(s => codec.Encode(s, amax, use)).ToList();
            foreach (var (planes, n) in encoded.Zip(rows)) Assert.Equal(codec.Planes(use, n).Select(p => (p.Type, p.Rows, p.Columns)), planes.Select(p => (p.dtype, p.shape[0], p.shape[1])));
            using var whole = engine.CastWeight("w", null, w, use, new ParameterSource(new TorchSharp.Modules.Parameter(w.clone())), bothWays: false);
            using var together = (Operand)codec.Decode([.. Enumerable.Range(0, encoded[0].Count).Select(i => Joined([.. encoded.Select(e => e[i])]))], amax, use);
            Assert.Equal(whole.Quantized!.Data.shape, together.Quantized!.Data.shape);
            Assert.Equal(Numbers.Bytes(whole.Quantized.Data), Numbers.Bytes(together.Quantized.Data));
            Assert.Equal(whole.Quantized.Scale.shape, together.Quantized.Scale.shape);
            Assert.Equal(Numbers.Bytes(whole.Quantized.Scale), Numbers.Bytes(together.Quantized.Scale));
            Assert.Equal((whole.Quantized.Format, whole.Quantized.Tile), (together.Quantized.Format, together.Quantized.Tile));
            // What a recipe asks of its scales is kept on the way.
            if (((OperandCast.Scaled)engine.WeightCast(use)).Rounding == ScaleRounding.PowerOfTwo)
                Assert.All(together.Quantized.Scale.contiguous().data<float>().ToArray(), s => Assert.Equal(0u, BitConverter.SingleToUInt32Bits(s) & 0x7fffff));
        }, iter: 20, threads: 1);
    }

    /// <summary>One below the other, as they arrive; cat knows no e8m0.</summary>
    private static Tensor Joined(Tensor[] parts) => parts[0].dtype == ScalarType.Float32 ? cat(parts, 0)
        : AtenGateway.ViewDtype(cat([.. parts.Select(p => AtenGateway.ViewDtype(p, ScalarType.Byte))], 0), parts[0].dtype);
}
