using System.Text.Json;
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
    /// <summary>Reads a position from JSON.</summary>
    /// <exception cref="JsonException">When it is none.</exception>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> for a position of earlier versions, in which each rank read documents of its own, of more than one rank.</exception>
    public static DataState Parse(string json)
    {
        using var document = JsonDocument.Parse(json);
        if (document.RootElement.ValueKind != JsonValueKind.Object) throw new JsonException("expected an object");
        if (document.RootElement.TryGetProperty("World", out var world) && world.GetRawText() != "1")
            throw new TitanException(ExitCode.Data,
                $"the checkpoint's data position is of one of {world.GetRawText()} data-parallel ranks that each read documents of their own, as this program no longer does; start the data over with --checkpoint.exclude_from_loading dataloader");
        return document.RootElement.Deserialize<DataState>() is { Fingerprint: not null, Tokenizer: not null, Epoch: >= 0, Document: >= 0, Buffer: not null } state
            ? state
            : throw new JsonException("it lacks fingerprint, tokenizer or buffer, or counts below zero");
    }
}
