using Titan.Models;
using Titan.Training.Checkpoints;
using Titan.Training.Files;
using static TorchSharp.torch;

namespace Titan.Training.HuggingFace;

/// <summary>Reads pieces of tensors from a folder: of each file only their bytes, from front to back, with no more than a chunk of them in memory.</summary>
internal sealed class PieceReader(HuggingFaceFolder folder) : IDisposable
{
    /// <summary>Elements that are read at once.</summary>
    public const long Chunk = 1 << 23;

    // Codes become wider before they are numbers.
    private const long QuantisedChunk = Chunk / 8;
    private const int MostFiles = 32;

    // What is read lies here until it is where it belongs: one buffer of a chunk for each dtype that the files have.
    private readonly Dictionary<ScalarType, Tensor> buffers = [];
    private readonly Dictionary<string, FileStream> files = new(StringComparer.Ordinal);

    /// <summary>Bytes of tensors that were read.</summary>
    public long BytesRead { get; private set; }

    /// <summary>Reads pieces into the parts that they belong to.</summary>
    public void Fill(IEnumerable<(Tensor Part, TensorPiece Piece)> pieces)
    {
        var chunks = pieces.SelectMany(p => p.Piece.InPartsOf(folder.Quantised.ContainsKey(p.Piece.Foreign) ? QuantisedChunk : Chunk).Select(c => (p.Part, Piece: c, Stored: folder.Tensors[c.Foreign])));
        foreach (var (part, piece, stored) in chunks.OrderBy(c => c.Stored.Path, StringComparer.Ordinal).ThenBy(c => c.Stored.Entry.Begin).ThenBy(c => c.Piece.Offset.FirstOrDefault()))
        {
            using var none = no_grad();
            using var scope = NewDisposeScope();
            var box = new Box(piece.Offset, piece.Shape);
            piece.CopyInto(part, folder.Quantised.TryGetValue(piece.Foreign, out var quantised)
                ? quantised.Read(box, (s, b) => Read(s, b, empty([.. b.Shape], dtype: s.Entry.Type)))
                : Read(stored, box, Buffer(stored.Entry.Type).narrow(0, 0, piece.Shape.Aggregate(1L, (a, b) => a * b)).reshape([.. piece.Shape])));
        }
    }

    public void Dispose()
    {
        CloseFiles();
        foreach (var buffer in buffers.Values) buffer.Dispose();
    }

    private Tensor Read(StoredForeign stored, Box box, Tensor target)
    {
        if (!files.TryGetValue(stored.Path, out var file))
        {
            if (files.Count == MostFiles) CloseFiles();
            files[stored.Path] = file = RegularFile.OpenRead(stored.Path);
        }

        BytesRead += BoxReader.Read(file.SafeFileHandle, stored.Entry, box, target);
        return target;
    }

    private Tensor Buffer(ScalarType type)
    {
        if (!buffers.TryGetValue(type, out var buffer)) buffers[type] = buffer = empty(Chunk, dtype: type).DetachFromDisposeScope();
        return buffer;
    }

    private void CloseFiles()
    {
        foreach (var file in files.Values) file.Dispose();
        files.Clear();
    }
}
