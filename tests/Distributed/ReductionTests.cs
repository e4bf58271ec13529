using System.Runtime.InteropServices;
using CsCheck;
using Titan.Abstractions;
using Titan.Distributed.Collectives;
using static TorchSharp.torch;

namespace Titan.Distributed.Tests;

public sealed class ReductionTests
{
    /// <summary>Every value that matters to a maximum, often enough.</summary>
    private static readonly Gen<float> Values = Gen.OneOf(Gen.Float[-100, 100], Gen.Const(float.NaN), Gen.Const(float.PositiveInfinity), Gen.Const(float.NegativeInfinity), Gen.Const(0f), Gen.Const(-0f));

    private static readonly Gen<float[][]> Ranks = Gen.Select(Gen.Int[1, 5], Gen.OneOf(Gen.Int[0, 70], Gen.Int[2040, 2060], Gen.Int[4090, 4110]))
        .SelectMany((ranks, n) => Values.Array[n].Array[ranks]);

    [Fact]
    public void Sums_maxima_and_minima_are_those_of_a_loop_in_rank_order_bit_for_bit() => Ranks.Sample(ranks =>
    {
        foreach (var operation in Enum.GetValues<ReduceOperation>())
        {
            var actual = Combine(ScalarType.Float32, operation, ranks, into: null);
            for (var i = 0; i < actual.Length; i++)
            {
                var expected = ranks.Select(r => r[i]).Aggregate((a, b) => operation switch { ReduceOperation.Sum => a + b, ReduceOperation.Max => MathF.Max(a, b), _ => MathF.Min(a, b) });
                if (float.IsNaN(expected)) Assert.True(float.IsNaN(actual[i]));
                else Assert.Equal(BitConverter.SingleToInt32Bits(expected), BitConverter.SingleToInt32Bits(actual[i]));
            }
        }
    }, iter: 200);

    [Fact]
    public void The_result_may_take_the_place_of_any_source() => Ranks.Sample(ranks =>
    {
        var apart = Combine(ScalarType.Float32, ReduceOperation.Sum, ranks, into: null);
        for (var place = 0; place < ranks.Length; place++)
        {
            var copies = ranks.Select(r => (float[])r.Clone()).ToArray();
            Assert.Equal(apart, Combine(ScalarType.Float32, ReduceOperation.Sum, copies, into: place));
        }
    }, iter: 50);

    [Fact]
    public void Integers_wrap_and_bf16_is_rounded_once_to_nearest_even()
    {
        Assert.Equal([unchecked(int.MaxValue + 2)], Combine(ScalarType.Int32, ReduceOperation.Sum, [[int.MaxValue], [2]], into: null));
        Assert.Equal([5L], Combine(ScalarType.Int64, ReduceOperation.Max, [[-5L], [5L], [4L]], into: null));
        // 1 + 2^-9 + 2^-9 = 1 + 2^-8, half way between two bf16 values: to the even one. Rounding after each addition would give 1 as well, 1 + 3 * 2^-9 would not.
        ushort[] Repeat(ushort bits) => [.. Enumerable.Repeat(bits, 37)];
        const ushort one = 0x3f80, small = 0x3b00;
        Assert.Equal(Repeat(0x3f80), Combine(ScalarType.BFloat16, ReduceOperation.Sum, [Repeat(one), Repeat(small), Repeat(small)], into: null));
        Assert.Equal(Repeat(0x3f81), Combine(ScalarType.BFloat16, ReduceOperation.Sum, [Repeat(one), Repeat(small), Repeat(small), Repeat(small)], into: null));
        Assert.Equal(Repeat(0x7fc0), Combine(ScalarType.BFloat16, ReduceOperation.Sum, [Repeat(0x7f80), Repeat(0xff80)], into: null));
    }

    private static T[] Combine<T>(ScalarType type, ReduceOperation operation, T[][] ranks, int? into) where T : unmanaged
    {
        var output = into is { } place ? ranks[place] : new T[ranks[0].Length];
        var pins = ranks.Append(output).Select(a => GCHandle.Alloc(a, GCHandleType.Pinned)).ToArray();
        try
        {
            Reduction.Combine(type, operation, pins[^1].AddrOfPinnedObject(), [.. pins[..^1].Select(p => p.AddrOfPinnedObject())], output.Length);
            return output;
        }
        finally
        {
            foreach (var pin in pins) pin.Free();
        }
    }
}
