using Titan.Abstractions;
using Titan.Training.Tokenizers;
using static TorchSharp.torch;

namespace Titan.Training.Data;

/// <summary>A micro-batch.</summary>
/// <param name="Inputs">[B * S] token ids.</param>
/// <param name="Labels">[B * S]: the next token of each.</param>
/// <param name="BatchSize">B.</param>
/// <param name="SeqLen">S.</param>
public sealed record Batch(long[] Inputs, long[] Labels, int BatchSize, int SeqLen)
{
    /// <summary>The inputs as a tensor [B, S] int64.</summary>
    public Tensor InputsOn(Device device) => tensor(Inputs, [BatchSize, SeqLen], device: device);

    /// <summary>The labels as a tensor [B * S] int64.</summary>
    public Tensor LabelsOn(Device device) => tensor(Labels, device: device);
}

/// <summary>Where a loader is.</summary>
/// <param name="Fingerprint">Of the corpus.</param>
/// <param name="Tokenizer">Hash of the tokenizer.</param>
/// <param name="Epoch">How often the corpus was read to its end.</param>
/// <param name="Document">Documents of this epoch that were passed, over all ranks.</param>
/// <param name="Buffer">Tokens that were read and not yet given out.</param>
/// <param name="Rank">The data-parallel rank whose documents these are.</param>
/// <param name="World">Data-parallel ranks among which the documents are split.</param>
public sealed record DataState(string Fingerprint, string Tokenizer, int Epoch, long Document, int[] Buffer, int Rank, int World);

/// <summary>
/// Packs documents into sequences as upstream does: BOS, document, EOS into one stream; seq_len + 1 tokens a sequence, of which the first seq_len are inputs and the last
/// seq_len labels; all are consumed. Rank r of n reads the documents whose number is r modulo n.
/// </summary>
public sealed class DataLoader : IDisposable
{
    private readonly Corpus corpus;
    private readonly ITokenizer tokenizer;
    private readonly int rank;
    private readonly int world;
    private readonly int batchSize;
    private readonly int seqLen;
    private readonly bool infinite;
    private readonly Queue<int> buffer = new();
    private IEnumerator<string> documents;
    private int epoch;
    private long document;
    private bool isWholeEpoch = true;
    private bool hasTokens;

    /// <summary>Opens the stream at its start.</summary>
    public DataLoader(Corpus corpus, ITokenizer tokenizer, int rank, int world, int batchSize, int seqLen, bool infinite)
    {
        (this.corpus, this.tokenizer, this.rank, this.world) = (corpus, tokenizer, rank, world);
        (this.batchSize, this.seqLen, this.infinite) = (batchSize, seqLen, infinite);
        documents = corpus.Documents().GetEnumerator();
    }

    /// <summary>Raised when the corpus starts over, with the number of the epoch that begins.</summary>
    public event Action<int>? Repeated;

    /// <summary>The next micro-batch, or null at the end of a finite stream.</summary>
    public Batch? Next()
    {
        var batch = new Batch(new long[batchSize * seqLen], new long[batchSize * seqLen], batchSize, seqLen);
        for (var b = 0; b < batchSize; b++)
        {
            while (buffer.Count <= seqLen)
                if (!ReadDocument()) return null;
            var previous = buffer.Dequeue();
            for (var s = 0; s < seqLen; s++)
            {
                batch.Inputs[b * seqLen + s] = previous;
                batch.Labels[b * seqLen + s] = previous = buffer.Dequeue();
            }
        }

        return batch;
    }

    /// <summary>Where the stream is.</summary>
    public DataState Save() => new(corpus.Fingerprint, tokenizer.Hash, epoch, document, [.. buffer], rank, world);

    /// <summary>Goes to a saved position.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when the position is of another corpus, tokenizer, or split among ranks.</exception>
    public void Restore(DataState state)
    {
        var different = state.Fingerprint != corpus.Fingerprint ? $"the files of dataset '{corpus.Name}'" : state.Tokenizer != tokenizer.Hash ? "the tokenizer" : null;
        if (different is not null)
            throw new TitanException(ExitCode.Data, $"the checkpoint's data position does not fit: {different} changed since; start the data over with --checkpoint.exclude_from_loading dataloader");
        if ((state.Rank, state.World) != (rank, world))
            throw new TitanException(ExitCode.Data,
                $"the checkpoint's data position is of data-parallel rank {state.Rank} of {state.World}, this is rank {rank} of {world}; use as many ranks, or start the data over with --checkpoint.exclude_from_loading dataloader");
        documents.Dispose();
        documents = corpus.Documents(state.Document).GetEnumerator();
        // What of this epoch was before the position may have held all of the rank's documents.
        (epoch, document, isWholeEpoch, hasTokens) = (state.Epoch, state.Document, false, false);
        buffer.Clear();
        foreach (var token in state.Buffer) buffer.Enqueue(token);
    }

    /// <inheritdoc />
    public void Dispose() => documents.Dispose();

    private bool ReadDocument()
    {
        while (documents.MoveNext())
        {
            if (document++ % world != rank) continue;
            var before = buffer.Count;
            if (tokenizer.BosId is { } bos) buffer.Enqueue(bos);
            foreach (var token in tokenizer.Encode(documents.Current)) buffer.Enqueue(token);
            if (tokenizer.EosId is { } eos) buffer.Enqueue(eos);
            hasTokens |= buffer.Count > before;
            return true;
        }

        // Without this, starting over would go on for ever.
        if (isWholeEpoch && !hasTokens)
            throw new TitanException(ExitCode.Data,
                $"dataset '{corpus.Name}' has {(document == 0 ? "no document" : $"no text in its {document} documents")}{(world > 1 ? $" for data-parallel rank {rank} of {world}" : "")}; check training.dataset_path");
        if (!infinite) return false;
        documents.Dispose();
        documents = corpus.Documents().GetEnumerator();
        (document, isWholeEpoch, hasTokens) = (0, true, false);
        Repeated?.Invoke(++epoch);
        return true;
    }
}
