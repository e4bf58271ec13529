using System.IO.Compression;
using System.Text;
using System.Text.Json;
using Titan.Abstractions;
using Titan.Training.Files;

namespace Titan.Training.Data;

/// <summary>
/// Documents in files. <c>.jsonl</c> and <c>.json</c>: one object with a <c>text</c> field per line. <c>.txt</c>: paragraphs between blank lines.
/// Both also with <c>.gz</c>. <c>.parquet</c>: a string column <c>text</c>. Files are read as they are needed; a document has 16 Mi characters at
/// most.
/// </summary>
public static class TextFiles
{
    /// <summary>The configuration key that errors name where a caller names none.</summary>
    public const string DefaultKey = "training.dataset_path";

    private const string Expected = "expected one object with a string field \"text\" per line";

    private const int MostEntries = 1_000_000, DeepestFolder = 64;

    private static readonly string[] Extensions = [".txt", ".jsonl", ".json", ".txt.gz", ".jsonl.gz", ".json.gz", ".parquet"];

    /// <summary>How the names of files end that have an object a line.</summary>
    internal static string[] LineExtensions { get; } = [".jsonl", ".json", ".jsonl.gz", ".json.gz"];

    /// <summary>The files that a path names: itself, or all in the folder and below, in ordinal order.</summary>
    /// <param name="path">A file or folder.</param>
    /// <param name="key">The configuration key that names it, for messages.</param>
    /// <param name="lines">Whether only files with an object a line will do.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when there is none.</exception>
    public static IReadOnlyList<string> Find(string path, string key = DefaultKey, bool lines = false)
    {
        var extensions = lines ? LineExtensions : Extensions;
        if (File.Exists(path))
        {
            if (!IsOf(extensions, path)) throw new TitanException(ExitCode.Data, $"dataset file '{path}': expected one of: {string.Join(", ", extensions)}");
            return [path];
        }

        if (!Directory.Exists(path)) throw new TitanException(ExitCode.Data, $"dataset path '{path}' does not exist; set {key} to a file or folder of text");
        try
        {
            var files = new List<string>();
            var entries = 0;
            Walk(path, extensions, [], files, ref entries);
            if (files.Count == 0)
                throw new TitanException(ExitCode.Data, $"dataset folder '{path}' holds no file that ends in one of: {string.Join(", ", extensions)}");
            files.Sort(StringComparer.Ordinal);
            return files;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new TitanException(ExitCode.Data, $"dataset folder '{path}' cannot be listed: {e.Message}; set {key} to another", e);
        }
    }

    /// <summary>The documents of a file, in order.</summary>
    /// <param name="path">The file.</param>
    /// <param name="key">The configuration key that names it, for messages.</param>
    public static IEnumerable<string> Read(string path, string key = DefaultKey) =>
        Guard(path.EndsWith(".parquet", StringComparison.OrdinalIgnoreCase) ? ParquetText.Read(path) : ReadLines(path, Documents), d => d.Length, path, key);

    /// <summary>The lines of a file that are not blank, each an object in JSON; they are not looked into.</summary>
    /// <param name="path">The file.</param>
    /// <param name="key">The configuration key that names it, for messages.</param>
    public static IEnumerable<SourceDocument> ReadObjects(string path, string key = DefaultKey) =>
        Guard(ReadLines(path, (lines, _) => Lines(lines).Select(line => new SourceDocument(line, $"{path}:{lines.Number}"))), d => d.Text.Length, path, key);

    /// <summary>What cannot be read is an error that names the file.</summary>
    private static IEnumerable<T> Guard<T>(IEnumerable<T> documents, Func<T, int> length, string path, string key)
    {
        using var each = documents.GetEnumerator();
        while (true)
        {
            try
            {
                if (!each.MoveNext()) yield break;
                if (length(each.Current) > BoundedLines.Longest)
                    throw new InvalidDataException($"a document has {length(each.Current):N0} characters; expected at most {BoundedLines.Longest:N0}: cut it into several");
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidDataException or DecoderFallbackException)
            {
                var why = e is DecoderFallbackException ? "it is not UTF-8 text" : e.Message;
                throw new TitanException(ExitCode.Data, $"dataset file '{path}' cannot be read: {why}; replace it, or set {key} to another", e);
            }

            yield return each.Current;
        }
    }

    private static bool IsOf(string[] extensions, string path) => extensions.Any(e => path.EndsWith(e, StringComparison.OrdinalIgnoreCase));

    /// <summary>Lists the text in a folder and below. Links are followed, except to a folder that the link itself is in.</summary>
    private static void Walk(string path, string[] extensions, IReadOnlyList<string> above, List<string> files, ref int entries)
    {
        var folder = new DirectoryInfo(path);
        var real = folder.ResolveLinkTarget(returnFinalTarget: true)?.FullName
            ?? (above.Count > 0 ? Path.Combine(above[^1], folder.Name) : folder.FullName);
        if (above.Contains(real, StringComparer.Ordinal)) return;
        if (above.Count >= DeepestFolder) throw new IOException($"'{path}' is more than {DeepestFolder} folders deep");
        foreach (var entry in folder.EnumerateFileSystemInfos())
        {
            if (++entries > MostEntries) throw new IOException($"it holds more than {MostEntries:N0} files and folders");
            var name = Path.Combine(path, entry.Name);
            if (entry is DirectoryInfo) Walk(name, extensions, [.. above, real], files, ref entries);
            else if (IsOf(extensions, name)) files.Add(name);
        }
    }

    private static IEnumerable<T> ReadLines<T>(string path, Func<BoundedLines, string, IEnumerable<T>> cut)
    {
        using Stream file = RegularFile.OpenRead(path);
        using var stream = path.EndsWith(".gz", StringComparison.OrdinalIgnoreCase) ? new GZipStream(file, CompressionMode.Decompress) : file;
        using var reader = new StreamReader(stream, new UTF8Encoding(false, throwOnInvalidBytes: true));
        foreach (var document in cut(new BoundedLines(reader), path)) yield return document;
    }

    private static IEnumerable<string> Documents(BoundedLines lines, string path) =>
        IsOf([".txt", ".txt.gz"], path) ? Paragraphs(lines) : Lines(lines).Select(line => Text(line, path, lines.Number));

    private static IEnumerable<string> Lines(BoundedLines lines)
    {
        while (lines.Next() is { } line)
            if (!string.IsNullOrWhiteSpace(line)) yield return line;
    }

    private static IEnumerable<string> Paragraphs(BoundedLines lines)
    {
        var text = new StringBuilder();
        var first = 1L;
        while (lines.Next() is { } line)
        {
            if (!string.IsNullOrWhiteSpace(line))
            {
                if (text.Length == 0) first = lines.Number;
                if (text.Length + line.Length >= BoundedLines.Longest)
                    throw new InvalidDataException($"the paragraph that begins at line {first} has more than {BoundedLines.Longest:N0} characters; "
                        + "blank lines part documents: put some in, or use .jsonl");
                text.Append(line).Append('\n');
                continue;
            }

            if (text.Length > 0) yield return text.ToString();
            text.Clear();
        }

        if (text.Length > 0) yield return text.ToString();
    }

    private static string Text(string line, string path, long number)
    {
        try
        {
            using var document = JsonDocument.Parse(line);
            if (document.RootElement.ValueKind == JsonValueKind.Object && document.RootElement.TryGetProperty("text", out var text) && text.ValueKind == JsonValueKind.String)
                return text.GetString()!;
        }
        catch (JsonException e)
        {
            throw new TitanException(ExitCode.Data, $"{path}:{number}: not valid JSON at byte {e.BytePositionInLine}: {Expected}", e);
        }
        catch (InvalidOperationException e)
        {
            // Half of a surrogate pair, as "\ud83d" alone, is valid JSON and no text.
            throw new TitanException(ExitCode.Data, $"{path}:{number}: \"text\" is not valid Unicode: {Expected}", e);
        }

        throw new TitanException(ExitCode.Data, $"{path}:{number}: no such object: {Expected}");
    }
}
