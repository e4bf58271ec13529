using System.Text.Json;
using System.Text.Json.Serialization;
using Titan.Abstractions;

namespace Titan.Training.Data;

/// <summary>
/// Where the stream of sequences is: between two global micro-batches, so it is the same on all data-parallel ranks, and any number of ranks can go on from it.
/// </summary>
/// <param name="Fingerprint">Of the corpus.</param>
/// <param name="Tokenizer">Hash of the tokenizer.</param>
/// <param name="Epoch">How often the corpus was read to its end.</param>
/// <param name="Document">Documents of this epoch that were read.</param>
/// <param name="Buffer">Tokens that were read and not yet given out to any rank.</param>
public sealed record DataState(string Fingerprint, string Tokenizer, int Epoch, long Document, int[] Buffer)
{
    // Earlier versions wrote more fields than these.
    private static readonly JsonSerializerOptions Read = new(JsonSerializerOptions.Strict) { UnmappedMemberHandling = JsonUnmappedMemberHandling.Skip };

    /// <summary>Reads a position from JSON.</summary>
    /// <exception cref="JsonException">With the first field that is missing, of another type, out of its range, or contradicts another.</exception>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> for a position of earlier versions, in which each rank read documents of its own, of more than one rank.</exception>
    public static DataState Parse(string json)
    {
        using var document = JsonDocument.Parse(json, new JsonDocumentOptions { AllowDuplicateProperties = false });
        if (document.RootElement.ValueKind != JsonValueKind.Object) throw new JsonException("expected an object");
        if (document.RootElement.TryGetProperty("World", out var world) && world.GetRawText() != "1")
            throw new TitanException(ExitCode.Data,
                $"the checkpoint's data position is of one of {world.GetRawText()} data-parallel ranks that each read documents of their own, as this program no longer does; start the data over with --checkpoint.exclude_from_loading dataloader");
        var state = document.RootElement.Deserialize<DataState>(Read)!;
        Require(state.Epoch >= 0, nameof(Epoch), state.Epoch, "0 or more");
        Require(state.Document >= 0, nameof(Document), state.Document, "0 or more");
        Require(state.Document > 0 || state.Epoch > 0 || state.Buffer.Length == 0, nameof(Buffer), state.Buffer.Length, "no token, since no document was read");
        return state;
    }

    /// <summary>Checks the position against what was trained on.</summary>
    /// <param name="tokens">Tokens that were trained on until then: of a sequence, all but the first, so half of the tokens that were read at least.</param>
    /// <exception cref="JsonException">When the corpus cannot have been read so often.</exception>
    public void ThrowIfBeyond(long tokens) =>
        // An epoch has a token at least, which was given out or is still there.
        Require(Epoch <= (Int128)2 * tokens + Buffer.Length, nameof(Epoch), Epoch, $"at most one for each of the {tokens} tokens that were trained on");

    private static void Require(bool holds, string field, long value, string expected)
    {
        if (!holds) throw new JsonException($"{field} is {value}, expected {expected}");
    }
}
