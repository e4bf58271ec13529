using System.Text;
using Titan.Training.Files;

namespace Titan.Training.Checkpoints;

/// <summary>A folder whose tensors are written, and which becomes whole: texts, copies, then the manifest and the seal over it.</summary>
/// <param name="folder">The folder, of a temporary name.</param>
/// <param name="createFile">Makes a new file.</param>
internal sealed class UnsealedFolder(string folder, Func<string, FileStream> createFile)
{
    /// <summary>Writes the rest, and syncs it.</summary>
    /// <param name="files">What is there already.</param>
    /// <param name="texts">Files of text, by name.</param>
    /// <param name="copies">Files to copy, by name: where each is.</param>
    /// <param name="manifest">The manifest, without its files.</param>
    public void Seal(IReadOnlyList<CheckpointFile> files, IReadOnlyDictionary<string, string> texts, IReadOnlyDictionary<string, string> copies, CheckpointManifest manifest)
    {
        List<CheckpointFile> all = [.. files];
        foreach (var (name, content) in texts) all.Add(Describe(folder, name, Write(name, content)));
        foreach (var (name, from) in copies) all.Add(Describe(folder, name, Copy(from, name)));
        Failpoint.Hit("before-manifest");
        var text = (manifest with { Files = all }).ToJson();
        Write(CheckpointManifest.FileName, text);
        Write(CheckpointManifest.SealName, OpenedCheckpoint.Seal(Encoding.UTF8.GetBytes(text)));
        DirectorySync.Flush(folder);
    }

    /// <summary>A file that is written, as the manifest lists it.</summary>
    public static CheckpointFile Describe(string folder, string name, string hash) => new(name, new FileInfo(Path.Combine(folder, name)).Length, hash);

    private string Write(string name, string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        if (bytes.Length > OpenedCheckpoint.LargestText) throw new IOException($"{name} would have {bytes.Length:N0} bytes, and is read up to {OpenedCheckpoint.LargestText:N0}");
        using var file = new SafetensorsFile.HashedFile(createFile(Path.Combine(folder, name)));
        file.Write(bytes.AsSpan(0, bytes.Length / 2));
        if (name == CheckpointManifest.FileName) Failpoint.Hit("mid-manifest");
        file.Write(bytes.AsSpan(bytes.Length / 2));
        return file.Finish();
    }

    private string Copy(string from, string name)
    {
        using var source = RegularFile.OpenRead(from);
        using var file = new SafetensorsFile.HashedFile(createFile(Path.Combine(folder, name)));
        var buffer = new byte[1 << 20];
        for (int read; (read = source.Read(buffer)) > 0;) file.Write(buffer.AsSpan(0, read));
        return file.Finish();
    }
}
