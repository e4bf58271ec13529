using Titan.Abstractions;
using Titan.Models;
using Titan.Training.Checkpoints;
using Titan.Training.HuggingFace;
using Titan.Training.Loop;
using static TorchSharp.torch;

namespace Titan.Training.Conversion;

/// <summary>Makes a checkpoint of the weights alone, of step 0, of a Hugging Face folder, a chunk of a tensor at a time.</summary>
internal static class FromHuggingFace
{
    /// <summary>Converts.</summary>
    /// <returns>The files that were written.</returns>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when the folder does not fit the model, or holds what the dtype cannot.</exception>
    public static IReadOnlyList<CheckpointFile> Run(ConversionRequest request)
    {
        if (Path.GetFileName(Path.TrimEndingDirectorySeparator(request.To)) is var name && name.StartsWith("step-", StringComparison.Ordinal) && name != "step-0")
            throw new TitanException(ExitCode.Usage, $"'{request.To}': what is made of a Hugging Face folder is the checkpoint of step 0, from which runs start; call it step-0, or by another name than a step's");
        var format = request.Model.HuggingFace;
        var folder = HuggingFaceFolder.Open(request.From, "FROM");
        HuggingFaceWeights.Refuse(folder, format, $"'{request.From}' cannot be converted into {request.Model.Name}", request.Note, quantised: true);
        if (folder.Quantised.Count > 0) request.Note($"{folder.Quantised.Count} tensors are quantised; they become numbers of fp32, or of checkpoint.export_dtype");
        var adapter = FolderCheck.AdapterOf(folder, format);
        var tensors = request.Model.Tensors.Select(t => Of(t.Fqn, t.Shape, format, adapter, folder, request)).ToList();

        using var reader = new PieceReader(folder);
        using var pending = PendingFolder.Begin(request.To, tensors.Sum(t => SafetensorsHeader.BytesOf(t.Type, t.Shape)), request.Note);
        var progress = request.Progress("writing", tensors.SelectMany(t => t.Pieces.Select(p => p.Foreign)).Distinct().Sum(f => folder.Tensors[f].Entry.Length + (folder.Quantised.TryGetValue(f, out var q) ? q.Scales.Entry.Length : 0)));
        CheckpointFile written;
        using (var file = new SafetensorsFile.HashedFile(SafetensorsFile.HashedFile.Create(Path.Combine(pending.Path, ToHuggingFace.ModelFile))))
        {
            var hash = SafetensorsFile.Write(file, [.. tensors.Select(t => new SafetensorsFile.WrittenTensor(t.Fqn, t.Type, ShardLayout.Whole(t.Shape), () => t.First is { } first ? [first] : Read(t)))]);
            written = UnsealedFolder.Describe(pending.Path, ToHuggingFace.ModelFile, hash);
        }

        var metadata = request.Model.Name.Split('/', 2) is [var family, var flavor] ? new Dictionary<string, string> { [CheckpointOrigin.Name] = family, [CheckpointOrigin.Flavor] = flavor } : [];
        new UnsealedFolder(pending.Path, SafetensorsFile.HashedFile.Create).Seal([written], new Dictionary<string, string>(), new Dictionary<string, string>(),
            new CheckpointManifest { Format = CheckpointManifest.PlainFormat, Step = 0, Files = [], Metadata = metadata });
        pending.Commit();
        return [written];

        IEnumerable<Tensor> Read(ConvertedTensor tensor)
        {
            foreach (var chunk in Chunks.Of(ShardLayout.Whole(tensor.Shape), PieceReader.Chunk))
            {
                var before = reader.BytesRead;
                var box = empty([.. chunk.Shape], dtype: tensor.Type);
                reader.Fill(adapter.PiecesOf(tensor.Fqn, chunk).Select(p => (box, p)));
                if (Finiteness.FirstNonFinite([new TensorPart(tensor.Fqn, box, chunk)]) is not null)
                    throw new TitanException(ExitCode.Data, $"'{request.From}': {tensor.Fqn} holds NaN or infinity, or what {tensor.Type} cannot hold");
                progress(reader.BytesRead - before);
                yield return box;
            }
        }
    }

    private static ConvertedTensor Of(string fqn, IReadOnlyList<long> shape, HuggingFaceFormat format, IStateDictAdapter adapter, HuggingFaceFolder folder, ConversionRequest request)
    {
        IReadOnlyList<TensorPiece> pieces = format.NotStored.Contains(fqn) ? [] : adapter.PiecesOf(fqn, ShardLayout.Whole(shape));
        if (pieces.Count > 0 && pieces.All(p => folder.Tensors.ContainsKey(p.Foreign)))
            return new ConvertedTensor(fqn, shape, request.TypeOf(fqn, folder.Quantised.ContainsKey(pieces[0].Foreign) ? ScalarType.Float32 : folder.Tensors[pieces[0].Foreign].Entry.Type), pieces, null);
        // A buffer begins as it would in a new model.
        if (request.Model.Buffers.FirstOrDefault(b => b.Fqn == fqn) is not { } buffer) throw new TitanException(ExitCode.Data, $"'{request.From}' has no values for {fqn}");
        buffer.Slot.Materialize(CPU);
        return new ConvertedTensor(fqn, shape, buffer.Slot.Type, [], buffer.Slot.Tensor);
    }

    /// <summary>A tensor of ours, with what it is made of: pieces of the folder, or its first value.</summary>
    private sealed record ConvertedTensor(string Fqn, IReadOnlyList<long> Shape, ScalarType Type, IReadOnlyList<TensorPiece> Pieces, Tensor? First);
}
