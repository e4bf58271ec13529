using System.Diagnostics;
using Titan.Abstractions;
using Titan.Training.Tokenizers;
using static TorchSharp.torch;

namespace Titan.Training.Data;

/// <summary>A micro-batch.</summary>
/// <param name="Inputs">[B * S] token ids.</param>
/// <param name="Labels">[B * S]: the next token of each, or <see cref="Ignored"/>.</param>
/// <param name="BatchSize">B.</param>
/// <param name="SeqLen">S.</param>
public sealed record Batch(long[] Inputs, long[] Labels, int BatchSize, int SeqLen)
{
    /// <summary>The label that counts for nothing.</summary>
    public const long Ignored = -100;

    /// <summary>Labels that count.</summary>
    public long Counted => Labels.LongCount(l => l != Ignored);

    /// <summary>[B * S]: the number of each token's document in its sequence; null where the tokens tell.</summary>
    public long[]? Documents { get; init; }

    /// <summary>The inputs as a tensor [B, S] int64.</summary>
    public Tensor InputsOn(Device device) => tensor(Inputs, [BatchSize, SeqLen], device: device);

    /// <summary>The labels as a tensor [B, S] int64.</summary>
    public Tensor LabelsOn(Device device) => tensor(Labels, [BatchSize, SeqLen], device: device);

    /// <summary>The documents as a tensor [B, S] int64; null where the tokens tell.</summary>
    public Tensor? DocumentsOn(Device device) => Documents is null ? null : tensor(Documents, [BatchSize, SeqLen], device: device);
}

/// <summary>
/// Packs documents into sequences as upstream does: BOS, document, EOS into one stream; seq_len + 1 tokens a sequence, of which the first seq_len are inputs and the last
/// seq_len labels; all are consumed. There is one stream of sequences however many ranks read it: the g-th global micro-batch is the next world * batchSize of them, of which
/// rank r gets those from r * batchSize on. So which sequences a step trains on, and in which order, depends on the global batch alone, and a position of one number of ranks
/// is a position of any other. The price: every rank reads and tokenises all documents, since only their tokens tell where sequences begin; the others' sequences are passed
/// over without being copied.
/// <para>
/// A finite stream, as a validation set is, leaves nothing out: a sequence begins with the last token of the one before, so that every token but the first is a label once, and the
/// end is filled up with labels that are ignored, to whole batches on every rank.
/// </para>
/// <para>
/// Where documents lie whole (<see cref="IDocumentFormat.IsWhole"/>), a sequence is filled up with ignored labels when the next document does not fit into the rest of it, and what is longer than a sequence is
/// cut at its end.
/// </para>
/// </summary>
public sealed class DataLoader : IDisposable
{
    private const string StartOver = "start the data over with --checkpoint.exclude_from_loading dataloader";

    private readonly Corpus corpus;
    private readonly IDocumentFormat format;
    private readonly int rank;
    private readonly int world;
    private readonly int batchSize;
    private readonly int seqLen;
    private readonly bool infinite;
    private readonly List<int> tokens = [];
    private IEnumerator<SourceDocument> documents;
    private int given;
    private int epoch;
    private long cut;
    private long document;
    private bool isWholeEpoch = true;
    private bool hasTokens;
    private volatile bool isDisposed;

    /// <summary>Opens the stream at its start.</summary>
    /// <param name="corpus">The documents.</param>
    /// <param name="format">Makes tokens of them.</param>
    /// <param name="rank">The data-parallel rank.</param>
    /// <param name="world">Data-parallel ranks that share the stream.</param>
    /// <param name="batchSize">Sequences of this rank's micro-batch.</param>
    /// <param name="seqLen">Tokens of a sequence.</param>
    /// <param name="infinite">Whether the corpus starts over at its end.</param>
    public DataLoader(Corpus corpus, IDocumentFormat format, int rank, int world, int batchSize, int seqLen, bool infinite)
    {
        (this.corpus, this.format, this.rank, this.world) = (corpus, format, rank, world);
        (this.batchSize, this.seqLen, this.infinite) = (batchSize, seqLen, infinite);
        documents = corpus.Documents().GetEnumerator();
    }

    /// <summary>Raised when the corpus starts over, with the number of the epoch that begins.</summary>
    public event Action<int>? Repeated;

    /// <summary>Raised when a document is longer than a sequence and is cut, with how many were so far.</summary>
    public event Action<long>? Cut;

    /// <summary>How many tokens were made of text so far, and how long that took.</summary>
    public (long Tokens, double Seconds) Tokenised { get; private set; }

    /// <summary>This rank's part of the next global micro-batch; null, on all ranks alike, where a finite stream has no label left.</summary>
    public Batch? Next()
    {
        var batch = new Batch(new long[batchSize * seqLen], new long[batchSize * seqLen], batchSize, seqLen) { Documents = format.IsWhole ? new long[batchSize * seqLen] : null };
        var first = (long)rank * batchSize;
        var any = false;
        for (long i = 0; i < (long)world * batchSize; i++)
        {
            while (tokens.Count - given <= seqLen && ReadDocument()) { }
            var labels = Math.Min(seqLen, Math.Max(0, tokens.Count - given - 1));
            any |= labels > 0;
            if (i >= first && i < first + batchSize) Copy(batch, (int)(i - first), labels);
            given += infinite ? seqLen + 1 : format.IsWhole ? Math.Min(seqLen + 1, tokens.Count - given) : labels;
        }

        return any ? batch : null;
    }

    /// <summary>Where the stream is: the same on all ranks that gave out as many micro-batches.</summary>
    public DataState Save() => new(corpus.Fingerprint, format.Hash, epoch, document, [.. tokens.Skip(given)]);

    /// <summary>Goes to a saved position, of any rank of any number of ranks.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when the position is of another corpus or tokenizer, or in neither; then the loader is where it was.</exception>
    public void Restore(DataState state)
    {
        var different = state.Fingerprint != corpus.Fingerprint ? $"the files of dataset '{corpus.Name}'" : state.Tokenizer != format.Hash ? format.IsWhole ? "the tokenizer or model.chat_template" : "the tokenizer" : null;
        if (different is not null)
            throw new TitanException(ExitCode.Data, $"the checkpoint's data position does not fit: {different} changed since; {StartOver}");
        var vocabulary = format.Tokenizer.VocabularySize;
        foreach (var token in state.Buffer)
            if (token < 0 && !format.IsWhole || (format.IsWhole ? StreamToken.Id(token) : token) >= vocabulary)
                throw new TitanException(ExitCode.Data, $"the checkpoint's data position holds token {token}, the tokenizer has 0 to {vocabulary - 1}; {StartOver}");
        var position = DocumentsFrom(state.Document);
        documents.Dispose();
        documents = position;
        // What of this epoch was before the position may have held all of its text.
        (epoch, document, isWholeEpoch, hasTokens) = (state.Epoch, state.Document, false, false);
        tokens.Clear();
        tokens.AddRange(state.Buffer);
        given = 0;
    }

    /// <inheritdoc />
    public void Dispose()
    {
        isDisposed = true;
        documents.Dispose();
    }

    /// <summary>The documents after the first <paramref name="count"/>, which are read here, so that it is known that there are so many.</summary>
    private IEnumerator<SourceDocument> DocumentsFrom(long count)
    {
        var documents = corpus.Documents().GetEnumerator();
        try
        {
            for (long read = 0; read < count; read++)
                if (!documents.MoveNext())
                    throw new TitanException(ExitCode.Data, $"the checkpoint's data position is after document {count}, dataset '{corpus.Name}' has {read}; {StartOver}");
            return documents;
        }
        catch
        {
            documents.Dispose();
            throw;
        }
    }

    private void Copy(Batch batch, int row, int labels)
    {
        var at = row * seqLen;
        for (int s = 0, document = 0; s < labels; s++)
        {
            var token = tokens[given + s];
            batch.Inputs[at + s] = StreamToken.Id(token);
            batch.Labels[at + s] = StreamToken.Label(tokens[given + s + 1]);
            if (batch.Documents is { } documents) documents[at + s] = document += s > 0 && StreamToken.Begins(token) ? 1 : 0;
        }

        // The inputs that are left are token 0, which every vocabulary has, and a document of their own.
        batch.Labels.AsSpan(at + labels, seqLen - labels).Fill(Batch.Ignored);
        batch.Documents?.AsSpan(at + labels, seqLen - labels).Fill(-1);
    }

    private bool ReadDocument()
    {
        Checkpoints.Failpoint.Hit("reading");
        var more = documents.MoveNext();
        // A reader that a stop left behind would take the end of what is gone for the end of the text.
        ObjectDisposedException.ThrowIf(isDisposed, this);
        if (more)
        {
            // What was given out goes once it is the larger part, so that no token is moved more than once on average.
            if (given > tokens.Count / 2)
            {
                tokens.RemoveRange(0, given);
                given = 0;
            }

            document++;
            var before = tokens.Count;
            var watch = Stopwatch.StartNew();
            var encoded = format.Encode(documents.Current);
            Tokenised = (Tokenised.Tokens + encoded.Count, Tokenised.Seconds + watch.Elapsed.TotalSeconds);
            if (format.IsWhole) AddWhole(encoded);
            else tokens.AddRange(encoded);
            hasTokens |= tokens.Count > before;
            return true;
        }

        // Without this, starting over would go on for ever.
        if (isWholeEpoch && !hasTokens)
            throw new TitanException(ExitCode.Data,
                $"dataset '{corpus.Name}' has {(document == 0 ? "no document" : $"{format.Lacking} in its {document} documents")}; check {corpus.Key}");
        if (!infinite) return false;
        documents.Dispose();
        documents = corpus.Documents().GetEnumerator();
        (document, isWholeEpoch, hasTokens) = (0, true, false);
        Repeated?.Invoke(++epoch);
        return true;
    }

    /// <summary>Adds a document to the sequence that is begun, or, where it does not fit, to the next.</summary>
    private void AddWhole(IReadOnlyList<int> encoded)
    {
        var length = Math.Min(encoded.Count, seqLen + 1);
        if (length < encoded.Count) Cut?.Invoke(++cut);
        // Nothing to learn: its answer begins after the cut.
        if (!encoded.Take(length).Any(t => t >= 0)) return;
        var begun = (tokens.Count - given) % (seqLen + 1);
        if (begun + length > seqLen + 1) tokens.AddRange(Enumerable.Repeat(StreamToken.Of(0, counts: false, begins: true), seqLen + 1 - begun));
        tokens.AddRange(encoded.Take(length));
    }
}
