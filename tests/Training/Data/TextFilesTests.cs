using System.IO.Compression;
using System.Text;
using System.Text.Json;
using CsCheck;
using Parquet;
using Parquet.Schema;
using Titan.Abstractions;
using Titan.Training.Data;

namespace Titan.Training.Tests.Data;

public sealed class TextFilesTests : IDisposable
{
    private static readonly string[] Documents = ["one", "two\nlines", "", "naïve 中文 🙂", "last"];

    private readonly TestFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData("a.jsonl")]
    [InlineData("a.json")]
    [InlineData("a.jsonl.gz")]
    [InlineData("a.JSON.GZ")]
    public void Every_line_of_a_JSON_lines_file_is_a_document(string name)
    {
        var lines = string.Join("\n", Documents.Select(d => JsonSerializer.Serialize(new { url = "x", text = d })));
        Write(name, lines + "\n\n");
        Assert.Equal(Documents, TextFiles.Read(folder.At(name)));
    }

    [Theory]
    [InlineData("a.txt", "\n")]
    [InlineData("a.txt", "\r\n")]
    [InlineData("a.txt.gz", "\n")]
    public void Paragraphs_of_a_text_file_are_documents(string name, string newline)
    {
        Write(name, "\n\none\ntwo\n\n \t \nthree\n\n\n".Replace("\n", newline));
        Assert.Equal(["one\ntwo\n", "three\n"], TextFiles.Read(folder.At(name)));
    }

    [Fact]
    public async Task A_Parquet_file_gives_its_text_column_row_group_by_row_group_without_nulls()
    {
        await WriteParquet("a.parquet", "text", [["one", null, "two"], [], ["naïve 中文 🙂", ""]]);
        Assert.Equal(["one", "two", "naïve 中文 🙂", ""], TextFiles.Read(folder.At("a.parquet")));
    }

    [Fact]
    public async Task A_Parquet_file_without_text_says_what_it_has()
    {
        await WriteParquet("a.parquet", "content", [["one"]]);
        Assert.Contains("it has: id, content", Refused("a.parquet"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Any_damage_to_a_Parquet_file_is_a_data_error_or_harmless()
    {
        await WriteParquet("a.parquet", "text", [["one", "two", "three"], ["four"]]);
        var whole = File.ReadAllBytes(folder.At("a.parquet"));
        for (var cut = 0; cut < whole.Length; cut += 7) Harmless(whole[..cut]);
        // Always the same damage: where the reader never returns, its thread would take a core from all tests that follow.
        var random = new Random(4);
        for (var i = 0; i < 200; i++)
        {
            var damaged = (byte[])whole.Clone();
            damaged[random.Next(whole.Length)] = (byte)random.Next(256);
            Harmless(damaged);
        }

        void Harmless(byte[] bytes)
        {
            folder.Write("b.parquet", bytes);
            try
            {
                _ = TextFiles.Read(folder.At("b.parquet")).Count();
            }
            catch (TitanException e)
            {
                Assert.Equal(ExitCode.Data, e.Code);
            }
        }
    }

    [Fact]
    public async Task A_Parquet_file_that_is_not_read_in_time_is_a_data_error()
    {
        await WriteParquet("a.parquet", "text", [["one"]]);
        var before = TextFiles.ParquetPatience;
        try
        {
            TextFiles.ParquetPatience = TimeSpan.Zero;
            Assert.Contains("was not read within", Assert.Throws<TitanException>(() => TextFiles.Read(folder.At("a.parquet")).Count()).Message, StringComparison.Ordinal);
        }
        finally
        {
            TextFiles.ParquetPatience = before;
        }
    }

    [Fact]
    public void Files_are_read_lazily()
    {
        Write("a.jsonl", "{\"text\": \"one\"}\nbroken\n");
        Assert.Equal("one", TextFiles.Read(folder.At("a.jsonl")).First());
    }

    [Theory]
    [InlineData("{\"text\": \"a\"}\n{\"text\": ", ":2: not valid JSON")]
    [InlineData("{\"text\": \"a\"}\n\n[1]\n", ":3: no such object")]
    [InlineData("{\"content\": \"a\"}", ":1: no such object")]
    [InlineData("{\"text\": null}", ":1: no such object")]
    [InlineData("{\"text\": 5}", ":1: no such object")]
    [InlineData("{\"text\": \"\\ud83d alone\"}", ":1: \"text\" is not valid Unicode")]
    [InlineData("[\n{\"text\": \"a\"}\n]", ":1: not valid JSON")]
    public void A_wrong_line_is_named_with_what_was_expected(string text, string message)
    {
        Write("a.jsonl", text);
        var error = Refused("a.jsonl");
        Assert.Contains("a.jsonl" + message, error, StringComparison.Ordinal);
        Assert.Contains("expected one object with a string field \"text\" per line", error, StringComparison.Ordinal);
    }

    [Fact]
    public void Binary_files_are_refused_as_such()
    {
        folder.Write("zeros.txt", new byte[100]);
        folder.Write("bytes.txt", [0xff, 0xd8, 0xff, 0xe0, 1, 2, 3]);
        folder.Write("bytes.jsonl", [0xff, 0xd8, 0xff, 0xe0, 1, 2, 3]);
        Assert.Contains("is binary", Refused("zeros.txt"), StringComparison.Ordinal);
        Assert.Contains("not UTF-8", Refused("bytes.txt"), StringComparison.Ordinal);
        Assert.Contains("not UTF-8", Refused("bytes.jsonl"), StringComparison.Ordinal);
    }

    [Fact]
    public void A_gz_file_that_is_cut_damaged_or_none_is_refused()
    {
        Write("whole.txt.gz", string.Join("\n\n", Enumerable.Range(0, 2000).Select(i => $"paragraph {i * 7919}")));
        var bytes = File.ReadAllBytes(folder.At("whole.txt.gz"));
        folder.Write("cut.txt.gz", bytes[..(bytes.Length / 2)]);
        folder.Write("none.txt.gz", "this is not gzip"u8.ToArray());
        bytes[bytes.Length / 2] ^= 0x10;
        folder.Write("damaged.txt.gz", bytes);
        foreach (var name in new[] { "cut.txt.gz", "none.txt.gz", "damaged.txt.gz" })
            Assert.Contains(name, Refused(name), StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_gives_all_its_text_in_ordinal_order_and_leaves_the_rest()
    {
        folder.Write("b/2.txt", "x");
        folder.Write("b/10.txt", "x");
        folder.Write("A.jsonl", "");
        folder.Write("readme.md", "x");
        folder.Write("c.parquet", "x");
        Assert.Equal(["A.jsonl", "b/10.txt", "b/2.txt", "c.parquet"], TextFiles.Find(folder.Path).Select(f => Path.GetRelativePath(folder.Path, f)));
    }

    [Theory]
    [InlineData("empty", "holds no file that ends in one of: .txt")]
    [InlineData("unknown", "holds no file that ends in one of: .txt")]
    [InlineData("unknown/a.pdf", "expected one of: .txt")]
    [InlineData("missing", "does not exist; set training.dataset_path")]
    [InlineData("", "does not exist; set training.dataset_path")]
    public void A_path_without_text_is_refused_with_what_would_do(string name, string message)
    {
        Directory.CreateDirectory(folder.At("empty"));
        folder.Write("unknown/a.pdf", "x");
        var error = Assert.Throws<TitanException>(() => Datasets.Open("text", name.Length == 0 ? "" : folder.At(name)));
        Assert.Equal(ExitCode.Data, error.Code);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    private string Refused(string name)
    {
        var error = Assert.Throws<TitanException>(() => TextFiles.Read(folder.At(name)).Count());
        Assert.Equal(ExitCode.Data, error.Code);
        Assert.DoesNotContain('\n', error.Message);
        return error.Message;
    }

    private void Write(string name, string text)
    {
        using Stream file = File.Create(folder.At(name));
        using var stream = name.EndsWith(".gz", StringComparison.OrdinalIgnoreCase) ? new GZipStream(file, CompressionLevel.Fastest) : file;
        stream.Write(Encoding.UTF8.GetBytes(text));
    }

    private async Task WriteParquet(string name, string column, string?[][] groups)
    {
        var id = new DataField<int>("id");
        var field = new DataField<string>(column);
        await using var file = File.Create(folder.At(name));
        await using var writer = await ParquetWriter.CreateAsync(new ParquetSchema(id, field), file);
        foreach (var texts in groups)
        {
            using var group = writer.CreateRowGroup();
            await group.WriteAsync<int>(id, Enumerable.Range(0, texts.Length).ToArray());
            await group.WriteAsync(field, (IReadOnlyCollection<string>)texts!);
        }
    }
}
