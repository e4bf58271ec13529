using Parquet;
using Parquet.Schema;
using Titan.Abstractions;
using Titan.Training.Files;

namespace Titan.Training.Data;

/// <summary>The string column <c>text</c> of a Parquet file, a row group at a time, so that a file may be larger than memory.</summary>
internal static class ParquetText
{
    private const long MostRows = 1 << 26, MostBytes = 4L << 30;

    /// <summary>How long a row group may take.</summary>
    internal static TimeSpan Patience { get; set; } = TimeSpan.FromMinutes(5);

    /// <summary>The texts that are not null, in order.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when the file is broken or has no such column.</exception>
    public static IEnumerable<string> Read(string path)
    {
        using var file = RegularFile.OpenRead(path);
        var reader = Guard(path, () => ParquetReader.CreateAsync(file));
        try
        {
            var field = Guard(path, () => Task.FromResult(Column(reader.Schema, path)));
            for (var i = 0; i < reader.RowGroupCount; i++)
            {
                var group = i;
                foreach (var text in Guard(path, () => ReadGroup(reader, group, field)))
                    if (text is not null) yield return text;
            }
        }
        finally
        {
            reader.DisposeAsync().AsTask().GetAwaiter().GetResult();
        }
    }

    /// <summary>The column of that name at the top: a field of a struct or a list has another path.</summary>
    private static DataField Column(ParquetSchema schema, string path) =>
        schema.Fields.OfType<DataField>().FirstOrDefault(f => f is { Name: "text", IsArray: false }
            && (f.ClrType == typeof(string) || f.ClrType == typeof(ReadOnlyMemory<char>)))
        ?? throw new TitanException(ExitCode.Data,
            $"dataset file '{path}' has no string column \"text\"; it has: {string.Join(", ", schema.GetDataFields().Select(f => string.Join('.', f.Path.ToList())))}");

    private static async Task<string?[]> ReadGroup(ParquetReader reader, int index, DataField field)
    {
        using var group = reader.OpenRowGroupReader(index);
        // What the file says is looked at before memory is taken for it.
        var bytes = group.GetMetadata(field)?.MetaData?.TotalUncompressedSize ?? 0;
        if (group.RowCount is < 0 or > MostRows || bytes is < 0 or > MostBytes)
            throw new InvalidDataException($"row group {index} has {group.RowCount:N0} rows and {bytes:N0} bytes of text; "
                + $"expected at most {MostRows:N0} rows and {MostBytes:N0} bytes: write smaller ones");
        var rows = new string?[group.RowCount];
        await group.ReadAsync(field, rows.AsMemory(), null, CancellationToken.None);
        return rows;
    }

    /// <summary>The reader throws exceptions of every kind at damaged files, and at some damage it never returns.</summary>
    private static T Guard<T>(string path, Func<Task<T>> read)
    {
        try
        {
            var reading = Task.Run(read);
            if (!((IAsyncResult)reading).AsyncWaitHandle.WaitOne(Patience))
                throw new TitanException(ExitCode.Data, $"dataset file '{path}': a row group was not read within {Patience.TotalMinutes:0.#} minutes: the file is damaged, or its row groups are too large; write it again, with smaller ones");
            return reading.GetAwaiter().GetResult();
        }
        catch (Exception e) when (e is not TitanException)
        {
            throw new TitanException(ExitCode.Data, $"dataset file '{path}' is not a Parquet file that can be read: {e.Message}", e);
        }
    }
}
