using System.Buffers.Binary;

namespace Titan.Training.Checkpoints;

/// <summary>
/// The state of libtorch's generator for the CPU, as <c>get_rng_state</c> gives it: a Mersenne twister of 624 words with the place in it, and the second number of a pair of normal
/// ones. libtorch ends the process when it is given another: what a file holds is looked at before.
/// </summary>
internal static class RandomState
{
    /// <summary>Bytes of a state.</summary>
    public const int Length = 5056;

    private const int Words = 624;
    private const int Left = 8, Seeded = 12, Next = 16, State = 24, Normals = State + 8 * Words, HasNormal = Normals + 24, FloatNormal = HasNormal + 8, HasFloatNormal = FloatNormal + 4;

    /// <summary>What is wrong with a state; null for one that libtorch takes and that gives numbers.</summary>
    public static string? Fault(ReadOnlySpan<byte> state)
    {
        if (state.Length != Length) return $"it has {state.Length} bytes, expected {Length}";
        var seeded = BinaryPrimitives.ReadInt32LittleEndian(state[Seeded..]);
        if (seeded != 1) return $"its mark of a seeded generator is {seeded}, expected 1";

        // 624 words are given out from the first to the last, then made anew: at every moment these two tell the same. A new generator has given out none and is about to make them.
        var (left, next) = (BinaryPrimitives.ReadInt32LittleEndian(state[Left..]), BinaryPrimitives.ReadUInt64LittleEndian(state[Next..]));
        if (left is < 1 or > Words || (next != (ulong)(Words + 1 - left) && !(left == 1 && next == 0))) return $"its place is word {next} with {left} left, expected 1 to {Words} that add up to {Words + 1}";

        var isZero = true;
        for (var i = 0; i < Words; i++)
        {
            var word = BinaryPrimitives.ReadUInt64LittleEndian(state[(State + 8 * i)..]);
            if (word > uint.MaxValue) return $"its word {i} is {word}, expected at most {uint.MaxValue}";
            isZero &= word == 0;
        }

        if (isZero) return "all its words are zero, from which no other number follows";
        for (var i = 0; i < 3; i++)
            if (!double.IsFinite(BinaryPrimitives.ReadDoubleLittleEndian(state[(Normals + 8 * i)..]))) return "its kept normal number is not finite";
        if (!float.IsFinite(BinaryPrimitives.ReadSingleLittleEndian(state[FloatNormal..]))) return "its kept normal number is not finite";
        return BinaryPrimitives.ReadInt32LittleEndian(state[HasNormal..]) is not (0 or 1) || state[HasFloatNormal] > 1 ? "its marks of a kept normal number are neither 0 nor 1" : null;
    }
}
