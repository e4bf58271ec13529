using System.IO.Compression;
using System.Text;
using System.Text.Json;
using Parquet;
using Parquet.Schema;
using Titan.Abstractions;

namespace Titan.Training.Data;

/// <summary>
/// Documents in files. <c>.jsonl</c> and <c>.json</c>: one object with a <c>text</c> field per line. <c>.txt</c>: paragraphs between blank lines. Both also with
/// <c>.gz</c>. <c>.parquet</c>: a string column <c>text</c>.
/// </summary>
public static class TextFiles
{
    private const string Expected = "expected one object with a string field \"text\" per line";

    private static readonly string[] Extensions = [".txt", ".jsonl", ".json", ".txt.gz", ".jsonl.gz", ".json.gz", ".parquet"];

    /// <summary>The files that a path names: itself, or all in the folder and below, in ordinal order.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when there is none.</exception>
    public static IReadOnlyList<string> Find(string path, string section = "training")
    {
        if (File.Exists(path))
        {
            if (!IsKnown(path)) throw new TitanException(ExitCode.Data, $"dataset file '{path}': expected one of: {string.Join(", ", Extensions)}");
            return [path];
        }

        if (!Directory.Exists(path)) throw new TitanException(ExitCode.Data, $"dataset path '{path}' does not exist; set {section}.dataset_path to a file or folder of text");
        try
        {
            var files = Directory.EnumerateFiles(path, "*", SearchOption.AllDirectories).Where(IsKnown).Order(StringComparer.Ordinal).ToList();
            return files.Count > 0 ? files : throw new TitanException(ExitCode.Data, $"dataset folder '{path}' holds no file that ends in one of: {string.Join(", ", Extensions)}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new TitanException(ExitCode.Data, $"dataset folder '{path}' cannot be listed: {e.Message}", e);
        }
    }

    /// <summary>The documents of a file, in order.</summary>
    public static IEnumerable<string> Read(string path, string section = "training")
    {
        var documents = path.EndsWith(".parquet", StringComparison.OrdinalIgnoreCase) ? ReadParquet(path) : ReadLines(path);
        using var each = documents.GetEnumerator();
        while (true)
        {
            try
            {
                if (!each.MoveNext()) yield break;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidDataException or DecoderFallbackException)
            {
                throw new TitanException(ExitCode.Data, $"dataset file '{path}' cannot be read: {(e is DecoderFallbackException ? "it is not UTF-8 text" : e.Message)}; replace it, or set {section}.dataset_path to another", e);
            }

            yield return each.Current;
        }
    }

    private static bool IsKnown(string path) => Extensions.Any(e => path.EndsWith(e, StringComparison.OrdinalIgnoreCase));

    private static IEnumerable<string> ReadLines(string path)
    {
        var zipped = path.EndsWith(".gz", StringComparison.OrdinalIgnoreCase);
        var plain = zipped ? path[..^3] : path;
        using Stream file = File.OpenRead(path);
        using var stream = zipped ? new GZipStream(file, CompressionMode.Decompress) : file;
        using var reader = new StreamReader(stream, new UTF8Encoding(false, throwOnInvalidBytes: true));
        var documents = plain.EndsWith(".txt", StringComparison.OrdinalIgnoreCase) ? Paragraphs(reader, path) : JsonLines(reader, path);
        foreach (var document in documents) yield return document;
    }

    private static IEnumerable<string> Paragraphs(StreamReader reader, string path)
    {
        var text = new StringBuilder();
        while (reader.ReadLine() is { } line)
        {
            if (line.Contains('\0')) throw new TitanException(ExitCode.Data, $"dataset file '{path}' is binary, not text");
            if (!string.IsNullOrWhiteSpace(line))
            {
                text.Append(line).Append('\n');
                continue;
            }

            if (text.Length > 0) yield return text.ToString();
            text.Clear();
        }

        if (text.Length > 0) yield return text.ToString();
    }

    private static IEnumerable<string> JsonLines(StreamReader reader, string path)
    {
        var number = 0;
        while (reader.ReadLine() is { } line)
        {
            number++;
            if (string.IsNullOrWhiteSpace(line)) continue;
            yield return Text(line, path, number);
        }
    }

    private static string Text(string line, string path, int number)
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

    /// <summary>How long a row group may take.</summary>
    internal static TimeSpan ParquetPatience { get; set; } = TimeSpan.FromMinutes(5);

    /// <summary>A row group at a time, so that a file may be larger than memory.</summary>
    private static IEnumerable<string> ReadParquet(string path)
    {
        var reader = Parquet(path, () => ParquetReader.CreateAsync(path));
        try
        {
            var fields = Parquet(path, () => Task.FromResult(reader.Schema.GetDataFields()));
            var field = fields.FirstOrDefault(f => f is { Name: "text", IsArray: false } && (f.ClrType == typeof(string) || f.ClrType == typeof(ReadOnlyMemory<char>)))
                ?? throw new TitanException(ExitCode.Data, $"dataset file '{path}' has no string column \"text\"; it has: {string.Join(", ", fields.Select(f => f.Name))}");
            for (var i = 0; i < reader.RowGroupCount; i++)
            {
                var group = i;
                foreach (var text in Parquet(path, () => ReadGroup(reader, group, field)))
                    if (text is not null) yield return text;
            }
        }
        finally
        {
            reader.DisposeAsync().AsTask().GetAwaiter().GetResult();
        }
    }

    private static async Task<string?[]> ReadGroup(ParquetReader reader, int index, DataField field)
    {
        using var group = reader.OpenRowGroupReader(index);
        var rows = new string?[group.RowCount];
        await group.ReadAsync(field, rows.AsMemory(), null, CancellationToken.None);
        return rows;
    }

    /// <summary>The reader throws exceptions of every kind at damaged files, and at some damage it never returns.</summary>
    private static T Parquet<T>(string path, Func<Task<T>> read)
    {
        try
        {
            var reading = Task.Run(read);
            if (!((IAsyncResult)reading).AsyncWaitHandle.WaitOne(ParquetPatience))
                throw new TitanException(ExitCode.Data, $"dataset file '{path}': a row group was not read within {ParquetPatience.TotalMinutes:0.#} minutes: the file is damaged, or its row groups are too large; write it again, with smaller ones");
            return reading.GetAwaiter().GetResult();
        }
        catch (Exception e) when (e is not TitanException)
        {
            throw new TitanException(ExitCode.Data, $"dataset file '{path}' is not a Parquet file that can be read: {e.Message}", e);
        }
    }
}
