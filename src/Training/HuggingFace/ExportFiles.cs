using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;
using Titan.Abstractions;
using Titan.Models;
using Titan.Training.Checkpoints;
using Titan.Training.Files;
using static TorchSharp.torch;

namespace Titan.Training.HuggingFace;

/// <summary>
/// Writes the files of an export. Rank 0 makes them with their headers and their full length; then each rank writes the boxes that its parts are, a chunk at a time; then each
/// reads back and hashes a share of the files.
/// </summary>
/// <param name="layout">Which tensor goes where.</param>
/// <param name="format">How the flavor is stored.</param>
internal sealed class ExportFiles(ExportLayout layout, HuggingFaceFormat format) : ITensorFiles
{
    /// <inheritdoc />
    public int Format => CheckpointManifest.HuggingFaceFormat;

    /// <inheritdoc />
    public long Bytes => layout.Bytes;

    /// <inheritdoc />
    public IReadOnlyList<CheckpointFile> Write(string folder, IReadOnlyList<TensorPart> own, Func<string, FileStream> createFile, IProcessGroup world)
    {
        Agreement.OnFirst(world, () => Create(folder, createFile));
        Agreement.All(world, () =>
        {
            using var files = new Opened(folder);
            foreach (var part in own.Where(p => !format.NotStored.Contains(p.Name)))
            {
                Write(files, part.Name, part.Layout, part.Tensor);
                Failpoint.Hit("mid-tensors");
            }

            files.Flush();
        });
        return [.. Agreement.All(world, () => CheckedFile.Share(layout.Files, f => (f.Name, f.Length), world).Select(f => Hashed(folder, f)).ToList()).SelectMany(f => f).OrderBy(f => f.Name, StringComparer.Ordinal)];
    }

    /// <summary>Makes the files: header, and room for all tensors.</summary>
    public void Create(string folder, Func<string, FileStream> createFile)
    {
        foreach (var file in layout.Files)
        {
            using var stream = createFile(Path.Combine(folder, file.Name));
            stream.Write(file.Header);
            stream.SetLength(file.Length);
            stream.Flush(flushToDisk: true);
        }
    }

    /// <summary>Writes a part of one of our tensors to where it belongs.</summary>
    /// <param name="files">The files.</param>
    /// <param name="fqn">Our name.</param>
    /// <param name="part">Which part.</param>
    /// <param name="tensor">The part, on any device, of any dtype of floats.</param>
    public void Write(Opened files, string fqn, ShardLayout part, Tensor tensor)
    {
        foreach (var piece in format.Tensors.PiecesOf(fqn, part).SelectMany(p => p.InPartsOf(PieceReader.Chunk)))
        {
            using var none = no_grad();
            using var scope = NewDisposeScope();
            var place = layout.Places[piece.Foreign];
            BoxWriter.Write(files.Of(place.File), place.Begin, place.Shape, new Box(piece.Offset, piece.Shape), piece.TakeFrom(tensor).to(place.Type).cpu());
        }
    }

    /// <summary>A file as the manifest lists it.</summary>
    public static CheckpointFile Hashed(string folder, ExportFile file)
    {
        using var stream = RegularFile.OpenRead(Path.Combine(folder, file.Name), followLinks: false);
        return new CheckpointFile(file.Name, stream.Length, System.Convert.ToHexStringLower(SHA256.HashData(stream)));
    }

    /// <summary>The files of an export, opened to write when they are first needed.</summary>
    public sealed class Opened(string folder) : IDisposable
    {
        private readonly Dictionary<string, SafeFileHandle> handles = new(StringComparer.Ordinal);

        public SafeFileHandle Of(ExportFile file)
        {
            if (!handles.TryGetValue(file.Name, out var handle))
                handles[file.Name] = handle = File.OpenHandle(Path.Combine(folder, file.Name), FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
            return handle;
        }

        public void Flush()
        {
            foreach (var handle in handles.Values) RandomAccess.FlushToDisk(handle);
        }

        public void Dispose()
        {
            foreach (var handle in handles.Values) handle.Dispose();
        }
    }
}
