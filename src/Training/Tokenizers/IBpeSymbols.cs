using System.Text;

namespace Titan.Training.Tokenizers;

/// <summary>The tokens that a word begins as, before any merge.</summary>
internal interface IBpeSymbols
{
    /// <summary>Tokens that a UTF-16 unit becomes at most.</summary>
    int MostPerUnit { get; }

    /// <summary>Writes a word's tokens.</summary>
    /// <returns>How many.</returns>
    int Write(ReadOnlySpan<char> word, Span<int> tokens);
}

/// <summary>Of a byte-level vocabulary: words are written in symbols of bytes already, each of which is a token.</summary>
/// <param name="vocabulary">All symbols.</param>
internal sealed class ByteLevelSymbols(IReadOnlyDictionary<string, int> vocabulary) : IBpeSymbols
{
    private readonly int[] table = Table(vocabulary);

    public int MostPerUnit => 1;

    public int Write(ReadOnlySpan<char> word, Span<int> tokens)
    {
        for (var i = 0; i < word.Length; i++) tokens[i] = table[word[i]];
        return word.Length;
    }

    private static int[] Table(IReadOnlyDictionary<string, int> vocabulary)
    {
        var table = new int[BpeTrainer.ByteSymbols.Max() + 1];
        foreach (var symbol in BpeTrainer.ByteSymbols) table[symbol] = vocabulary[symbol.ToString()];
        return table;
    }
}

/// <summary>Of a vocabulary of characters with <c>byte_fallback</c>: a character that is no token becomes its bytes.</summary>
/// <param name="vocabulary">All tokens.</param>
internal sealed class CharacterSymbols(IReadOnlyDictionary<string, int> vocabulary) : IBpeSymbols
{
    private readonly Dictionary<int, int> characters =
        vocabulary.Where(t => Rune.DecodeFromUtf16(t.Key, out _, out var length) == System.Buffers.OperationStatus.Done && length == t.Key.Length).ToDictionary(t => char.ConvertToUtf32(t.Key, 0), t => t.Value);

    private readonly int[] bytes = [.. Enumerable.Range(0, 256).Select(b => vocabulary[NameOf((byte)b)])];

    // Three bytes for a unit, four for two.
    public int MostPerUnit => 3;

    /// <summary>The token of a byte.</summary>
    public static string NameOf(byte value) => $"<0x{value:X2}>";

    public int Write(ReadOnlySpan<char> word, Span<int> tokens)
    {
        Span<byte> utf8 = stackalloc byte[4];
        var count = 0;
        foreach (var rune in word.EnumerateRunes())
        {
            if (characters.TryGetValue(rune.Value, out var token))
            {
                tokens[count++] = token;
                continue;
            }

            var length = rune.EncodeToUtf8(utf8);
            for (var i = 0; i < length; i++) tokens[count++] = bytes[utf8[i]];
        }

        return count;
    }
}
