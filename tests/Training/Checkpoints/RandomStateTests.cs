using System.Buffers.Binary;
using CsCheck;
using Titan.Training.Checkpoints;
using static TorchSharp.torch;

namespace Titan.Training.Tests.Checkpoints;

/// <summary>States of libtorch's generator are told from all other bytes, on which libtorch would end the process.</summary>
public sealed class RandomStateTests
{
    [Fact]
    public void Every_state_that_the_generator_is_ever_in_is_one() => Gen.Select(Gen.Long, Gen.Int[0, 1500], Gen.Int[0, 3]).Sample((seed, draws, normals) =>
    {
        using var scope = NewDisposeScope();
        using var before = get_rng_state();
        _ = random.manual_seed(seed);
        if (draws > 0) _ = rand(draws);
        if (normals > 0) _ = randn(normals);
        using var state = get_rng_state();
        var fault = RandomState.Fault(state.bytes);
        set_rng_state(before);
        Assert.Null(fault);
    }, iter: 200, threads: 1, seed: "0000KOIPe036");

    [Theory]
    [InlineData(0, RandomState.Length, 0)]
    [InlineData(0, RandomState.Length, 0xff)]
    [InlineData(8, 4, 0)]       // no word left
    [InlineData(8, 4, 0xff)]
    [InlineData(12, 4, 0)]      // not seeded
    [InlineData(16, 8, 0xff)]   // the next word
    [InlineData(24, 624 * 8, 0)]
    [InlineData(28, 4, 1)]      // a word of more than 32 bits
    [InlineData(5016, 8, 0xff)]
    [InlineData(5040, 4, 0xff)]
    [InlineData(5048, 4, 0xff)]
    [InlineData(5052, 1, 2)]
    public void Bytes_that_are_no_state_are_told_what_is_wrong(int at, int length, byte value)
    {
        using var state = get_rng_state();
        var bytes = state.bytes.ToArray();
        bytes.AsSpan(at, length).Fill(value);
        Assert.NotNull(RandomState.Fault(bytes));
        Assert.NotNull(RandomState.Fault(bytes.AsSpan(1)));
    }

    [Fact]
    public void The_place_and_what_is_left_belong_together() => Gen.Select(Gen.Int[-3, 630], Gen.Int[-3, 630]).Sample((left, next) =>
    {
        using var state = get_rng_state();
        var bytes = state.bytes.ToArray();
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(8), left);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(16), next);
        // The next word lies among the 624, or they are about to be made.
        var isPlace = left >= 1 && left <= 624 && (next + left == 625 || (left, next) == (1, 0));
        Assert.Equal(isPlace, RandomState.Fault(bytes) is null);
    }, iter: 2000, threads: 1, seed: "0000KOIPe036");
}
