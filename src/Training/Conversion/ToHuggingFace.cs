using Titan.Abstractions;
using Titan.Training.Adapters;
using Titan.Training.Checkpoints;
using Titan.Training.HuggingFace;
using static TorchSharp.torch;

namespace Titan.Training.Conversion;

/// <summary>Makes a Hugging Face folder of a checkpoint, a chunk of a tensor at a time. Low-rank adapters are merged into the weights: other programs' models have no place for them.</summary>
internal static class ToHuggingFace
{
    /// <summary>The file of our checkpoints that holds weights.</summary>
    public const string ModelFile = "model.safetensors";

    /// <summary>Converts.</summary>
    /// <returns>The files that were written.</returns>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when the checkpoint is damaged, is of another model, or holds what the dtype cannot.</exception>
    public static IReadOnlyList<CheckpointFile> Run(ConversionRequest request)
    {
        var peeked = OpenedCheckpoint.Peek(request.From);
        var opened = CheckpointStore.OpenFolder(request.From, ModelFile, request.Progress("checking", peeked.Manifest.Files.Where(f => SavePlan.IsPartOf(ModelFile, f.Name)).Sum(f => f.Length)));
        var stored = opened.Tensors(ModelFile);
        var adapters = StoredAdapters.Of(opened.Manifest.Metadata, stored);
        request.Model.Refuse(request.From, stored, adapters);
        var format = request.Model.HuggingFace;
        if (ExportPlan.Left(format, request.Model.Tensors.Select(t => t.Fqn)) is { } left) request.Note(left);
        var tensors = request.Model.Tensors.Where(t => !format.NotStored.Contains(t.Fqn)).ToList();
        var layout = ExportLayout.Make(ExportPlan.Of(format, [.. tensors.Select(t => (t.Fqn, t.Shape, request.TypeOf(t.Fqn, stored[t.Fqn].Type)))]), request.Assets is { } assets ? ExportAssets.FilesOf(assets) : null);
        var besides = ExportAssets.Of(format.Config, request.Assets ?? "", request.TypeOf(tensors[0].Fqn, stored[tensors[0].Fqn].Type));

        using var pending = PendingFolder.Begin(request.To, layout.Bytes, request.Note);
        var files = new ExportFiles(layout, format);
        files.Create(pending.Path, SafetensorsFile.HashedFile.Create);
        using (var written = new ExportFiles.Opened(pending.Path))
        {
            var progress = request.Progress("writing", tensors.Sum(t => stored[t.Fqn].Bytes));
            foreach (var (fqn, shape) in tensors)
            {
                using var scope = NewDisposeScope();
                var merge = adapters.MergerOf(fqn);
                foreach (var chunk in Chunks.Of(ShardLayout.Whole(shape), PieceReader.Chunk)) progress(Copy(stored[fqn], fqn, chunk, request.TypeOf(fqn, stored[fqn].Type), merge, files, written));
                Failpoint.Hit("mid-tensors");
            }

            written.Flush();
        }

        var hashing = request.Progress("hashing", layout.Bytes);
        var hashed = layout.Files.Select(f =>
        {
            var file = ExportFiles.Hashed(pending.Path, f);
            hashing(file.Length);
            return file;
        }).ToList();
        new UnsealedFolder(pending.Path, SafetensorsFile.HashedFile.Create).Seal(hashed, layout.With(besides.Texts), besides.Copies,
            new CheckpointManifest { Format = CheckpointManifest.HuggingFaceFormat, Step = opened.Manifest.Step, Files = [], Metadata = opened.Manifest.Metadata });
        pending.Commit();
        return hashed;
    }

    /// <summary>Copies a box of a tensor; returns its bytes in the checkpoint.</summary>
    private static long Copy(StoredTensor stored, string fqn, ShardLayout chunk, ScalarType type, Func<TensorPart, TensorPart>? merge, ExportFiles files, ExportFiles.Opened written)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        var box = empty([.. chunk.Shape], dtype: stored.Type);
        var part = new TensorPart(fqn, box, chunk);
        PartRead.Run(PartRead.Plan(stored, part, missing => new TitanException(ExitCode.Data, $"{missing} of {fqn} is in none of the checkpoint's files")));
        part = merge?.Invoke(part) ?? part;
        if (Finiteness.FirstNonFinite([part], type) is not null)
            throw new TitanException(ExitCode.Data, $"{fqn} holds values that {type} cannot hold; choose another checkpoint.export_dtype");
        files.Write(written, fqn, chunk, part.Tensor);
        return box.numel() * box.element_size();
    }
}
