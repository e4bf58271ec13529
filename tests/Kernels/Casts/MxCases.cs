using Titan.Abstractions;
using Titan.Kernels.Casts;
using static TorchSharp.torch;

namespace Titan.Kernels.Tests.Casts;

/// <summary>
/// Blocks of which the reference's bytes are known, in e4m3, for FLOOR, RCEIL, CEIL and EVEN. A block is one value 32 times, or one value first and 31 times 1 after it.
/// "77/7e" is the scale byte and the byte of every element; "77/80,78" has the byte of the first element and that of the rest. NaN is 7f whatever its sign.
/// </summary>
internal static class MxCases
{
    private static readonly ScaleRounding[] Modes = [ScaleRounding.Floor, ScaleRounding.RoundUp, ScaleRounding.Ceil, ScaleRounding.Even];

    /// <summary>Bits of the (first) value; whether the rest is 1; what comes out in the four modes.</summary>
    private static readonly (uint Bits, bool Alone, string Expected)[] All =
    [
        (0x00000000u, false, "00/00 00/00 00/00 00/00"), // 0
        (0x00000001u, false, "00/00 00/00 00/00 00/00"), // the smallest subnormal of fp32
        (0x00010000u, false, "00/08 00/08 00/08 00/08"), // that of bf16
        (0x80000001u, true, "77/80,78 77/80,78 77/80,78 77/80,78"),
        (0x00800000u, false, "00/40 00/40 00/40 00/40"), // 2^-126
        (0x3f800000u, false, "77/78 77/78 77/78 77/78"), // 1
        (0x3fe00000u, false, "77/7e 77/7e 78/76 77/7e"), // 1.75
        (0x3ff00000u, false, "77/7e 78/77 78/77 77/7e"), // 1.875: FLOOR and EVEN cut off
        (0x3ff80000u, false, "77/7e 78/78 78/78 78/78"), // 1.9375
        (0x40600000u, false, "78/7e 78/7e 79/76 78/7e"), // 3.5
        (0x40600001u, false, "78/7e 79/76 79/76 78/7e"), // just above: must not be rounded to bf16 first
        (0x43800000u, false, "7f/78 7f/78 7f/78 7f/78"), // 256
        (0x43808000u, false, "7f/78 7f/78 80/70 7f/78"), // 257
        (0x43e00000u, false, "7f/7e 7f/7e 80/76 7f/7e"), // 448
        (0xc3e00000u, false, "7f/fe 7f/fe 80/f6 7f/fe"), // -448
        (0x43e80000u, false, "7f/7e 80/76 80/76 7f/7e"), // 464
        (0x43f00000u, false, "7f/7e 80/77 80/77 7f/7e"), // 480
        (0xc3f00000u, false, "7f/fe 80/f7 80/f7 7f/fe"), // -480
        (0x43ffffffu, false, "7f/7e 80/78 80/78 80/78"), // just below 512
        (0x7f7f0000u, false, "f6/7e f7/78 f7/78 ff/7f"), // the largest of bf16: EVEN overflows
        (0x7f7fffffu, false, "f6/7e f7/78 f7/78 ff/7f"), // the largest of fp32
        (0x7f7fffffu, true, "f6/7e,00 f7/78,00 f7/78,00 ff/7f"),
        (0x7f800000u, false, "ff/7f ff/7f ff/7f ff/7f"), // infinity makes its whole block NaN
        (0xff800000u, true, "ff/7f ff/7f ff/7f ff/7f"),
        (0x7fc00000u, false, "ff/7f ff/7f ff/7f ff/7f"), // so does NaN
        (0x7fc00000u, true, "ff/7f ff/7f ff/7f ff/7f"),
    ];

    /// <summary>Runs every case in both dtypes that hold it, and holds that the block beside it is what it is without it.</summary>
    /// <param name="rows">Casts [1, 64] along rows: data [1, 64] and scales [1, 2].</param>
    public static void Check(Func<Tensor, ScaleRounding, (Tensor Data, Tensor Scale)> rows)
    {
        foreach (var (bits, alone, expected) in All)
        {
            foreach (var type in new[] { ScalarType.Float32, ScalarType.BFloat16 })
            {
                // bf16 holds the upper half of an fp32.
                if (type == ScalarType.BFloat16 && (bits & 0xffff) != 0) continue;
                using var scope = NewDisposeScope();
                var value = BitConverter.UInt32BitsToSingle(bits);
                var x = tensor([.. Enumerable.Range(0, 64).Select(i => i == 0 || (i < 32 && !alone) ? value : 1f)]).to(type).reshape(1, 64);
                var got = Modes.Select(mode =>
                {
                    var (data, scale) = rows(x, mode);
                    Assert.Equal([1, 64], data.shape);
                    Assert.Equal([1, 2], scale.shape);
                    byte[] codes = [.. Bytes(data).Select(b => (b & 0x7f) == 0x7f ? (byte)0x7f : b)], scales = Bytes(scale);
                    Assert.Equal("77/78", $"{scales[1]:x2}/{Assert.Single(codes[32..].Distinct()):x2}");
                    var rest = Assert.Single(codes[1..32].Distinct());
                    return codes[0] == rest ? $"{scales[0]:x2}/{rest:x2}" : $"{scales[0]:x2}/{codes[0]:x2},{rest:x2}";
                });
                Assert.Equal($"{bits:x8} {type}: {expected}", $"{bits:x8} {type}: {string.Join(" ", got)}");
            }
        }
    }

    /// <summary>The same bytes along columns: of the transposed matrix.</summary>
    public static (Tensor Data, Tensor Scale) AlongColumns(ICastKernels kernels, Tensor x, ScaleRounding mode)
    {
        var (data, scale) = kernels.CastBlocks(x.t().contiguous(), 0, 32, Float8Format.E4M3, mode);
        return (data.t(), scale.t());
    }

    private static byte[] Bytes(Tensor x) => Cuda.Samples.Bytes(x);
}
