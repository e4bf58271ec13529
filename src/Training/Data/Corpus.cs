using System.Security.Cryptography;
using System.Text;
using Titan.Abstractions;
using Titan.Training.Files;

namespace Titan.Training.Data;

/// <summary>An ordered set of files with documents.</summary>
/// <param name="name">The dataset's name, for messages.</param>
/// <param name="files">The files, in order.</param>
/// <param name="key">The configuration key that names them, for messages.</param>
/// <param name="isChat">Whether the documents are conversations, a line each; else they are text.</param>
public sealed class Corpus(string name, IReadOnlyList<string> files, string key = TextFiles.DefaultKey, bool isChat = false)
{
    private const int Sampled = 1 << 16;

    /// <summary>The dataset's name.</summary>
    public string Name => name;

    /// <summary>The configuration key that names the files.</summary>
    public string Key => key;

    /// <summary>Whether the documents are conversations.</summary>
    public bool IsChat => isChat;

    /// <summary>SHA-256 over names, lengths, and the first and last 64 KiB of the files: a position in a corpus makes no sense in another.</summary>
    public string Fingerprint { get; } = Hash(files, key);

    /// <summary>The documents, in order.</summary>
    public IEnumerable<SourceDocument> Documents() => files.SelectMany(file => isChat ? TextFiles.ReadObjects(file, key) : TextFiles.Read(file, key).Select(text => new SourceDocument(text, file)));

    private static string Hash(IReadOnlyList<string> files, string key)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[Sampled];
        foreach (var file in files)
        {
            try
            {
                using var stream = RegularFile.OpenRead(file);
                hash.AppendData(Encoding.UTF8.GetBytes($"{Path.GetFileName(file)}:{stream.Length};"));
                hash.AppendData(buffer, 0, stream.ReadAtLeast(buffer, Sampled, throwOnEndOfStream: false));
                stream.Seek(-Math.Min(Sampled, stream.Length), SeekOrigin.End);
                hash.AppendData(buffer, 0, stream.ReadAtLeast(buffer, Sampled, throwOnEndOfStream: false));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new TitanException(ExitCode.Data, $"dataset file '{file}' cannot be read: {e.Message}; replace it, or set {key} to another", e);
            }
        }

        return System.Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
