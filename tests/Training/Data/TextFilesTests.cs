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
    public async Task The_column_is_the_one_at_the_top_whatever_lists_and_structs_come_before_it()
    {
        var tags = new ListField("tags", new DataField<string>("element"));
        var text = new DataField<string>("text");
        var meta = new StructField("meta", new DataField<string>("text"), new DataField<string>("url"));
        await WriteNested("both.parquet", [meta, tags, text], new() { ["meta/text"] = ["wrong", "wrong"], ["meta/url"] = ["u", "v"], ["text"] = ["one", "two"] });
        Assert.Equal(["one", "two"], TextFiles.Read(folder.At("both.parquet")));
        await WriteNested("nested.parquet", [meta, tags], new() { ["meta/text"] = ["wrong", "wrong"], ["meta/url"] = ["u", "v"] });
        Assert.Contains("has no string column \"text\"; it has: meta.text, meta.url, tags.list.element", Refused("nested.parquet"), StringComparison.Ordinal);
        await WriteNested("list.parquet", [tags, new ListField("text", new DataField<string>("element"))], []);
        Assert.Contains("it has: tags.list.element, text.list.element", Refused("list.parquet"), StringComparison.Ordinal);
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
        var before = ParquetText.Patience;
        try
        {
            ParquetText.Patience = TimeSpan.Zero;
            Assert.Contains("was not read within", Assert.Throws<TitanException>(() => TextFiles.Read(folder.At("a.parquet")).Count()).Message, StringComparison.Ordinal);
        }
        finally
        {
            ParquetText.Patience = before;
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

    [Fact]
    public void Lines_end_as_those_of_a_text_reader_do_wherever_its_buffer_ends() =>
        Gen.OneOf(Gen.Const("\n"), Gen.Const("\r"), Gen.Const("\r\n"), Gen.Const("text"), Gen.Int[65_500, 65_540].Select(n => new string('x', n))).Array[0, 8].Each(500, parts =>
        {
            var text = string.Concat(parts);
            using var expected = new StringReader(text);
            using var actual = new StringReader(text);
            var lines = new BoundedLines(actual);
            while (expected.ReadLine() is { } line) Assert.Equal(line, lines.Next());
            Assert.Null(lines.Next());
        });

    [Theory]
    [InlineData("line.txt.gz", 'x', "line 1 has more than 16,777,216 characters")]
    [InlineData("line.jsonl.gz", '[', "line 1 has more than 16,777,216 characters")]
    [InlineData("zeros.txt.gz", '\0', "line 1 has a NUL character: it is binary, not text")]
    [InlineData("zeros.jsonl.gz", '\0', "line 1 has a NUL character: it is binary, not text")]
    public void An_archive_that_unpacks_to_one_endless_line_is_refused_where_a_document_could_end_no_more(string name, char filling, string message)
    {
        Fill(name, new string(filling, 1 << 20), times: 64);
        var before = GC.GetTotalAllocatedBytes();
        Assert.Contains(message, Refused(name), StringComparison.Ordinal);
        Assert.InRange(GC.GetTotalAllocatedBytes() - before, 0, 200L << 20);
    }

    [Fact]
    public void An_archive_that_unpacks_to_one_endless_paragraph_is_refused_and_one_of_blank_lines_has_no_document()
    {
        Fill("lines.txt.gz", string.Concat(Enumerable.Repeat("some words\n", 1 << 16)), times: 64);
        Assert.Contains("the paragraph that begins at line 1 has more than 16,777,216 characters; blank lines part documents", Refused("lines.txt.gz"), StringComparison.Ordinal);
        Fill("blank.txt.gz", new string('\n', 1 << 20), times: 64);
        var before = GC.GetTotalAllocatedBytes();
        Assert.Empty(TextFiles.Read(folder.At("blank.txt.gz")));
        Assert.InRange(GC.GetTotalAllocatedBytes() - before, 0, 16L << 20);
    }

    [Fact]
    public void A_document_may_be_as_long_as_is_said()
    {
        folder.Write("a.jsonl", $$"""{"text":"{{new string('x', BoundedLines.Longest - 11)}}"}""");
        Assert.Equal(BoundedLines.Longest - 11, TextFiles.Read(folder.At("a.jsonl")).Single().Length);
    }

    [Fact]
    public async Task A_Parquet_file_with_a_document_that_is_too_long_is_refused()
    {
        await WriteParquet("a.parquet", "text", [["one", new string('x', BoundedLines.Longest + 1)]]);
        Assert.Contains("a document has 16,777,217 characters", Refused("a.parquet"), StringComparison.Ordinal);
    }

    [Fact]
    public void Only_regular_files_are_read_and_an_error_names_the_file()
    {
        using (var make = System.Diagnostics.Process.Start("mkfifo", folder.At("pipe.jsonl"))) make.WaitForExit();
        File.CreateSymbolicLink(folder.At("zero.txt"), "/dev/zero");
        File.CreateSymbolicLink(folder.At("pipe.parquet"), "pipe.jsonl");
        File.CreateSymbolicLink(folder.At("circle.txt"), "circle.txt");
        foreach (var (name, what) in new[] { ("pipe.jsonl", "a named pipe"), ("zero.txt", "a device"), ("pipe.parquet", "a named pipe") })
        {
            Assert.Contains($"{name}' cannot be read: it is {what}; expected a regular file", Refused(name), StringComparison.Ordinal);
            var error = Assert.Throws<TitanException>(() => Datasets.Open("text", folder.At(name), "validation"));
            Assert.Contains($"{name}' cannot be read: it is {what}; expected a regular file; replace it, or set validation.dataset_path to another", error.Message, StringComparison.Ordinal);
        }

        Assert.Contains("circle.txt", Refused("circle.txt"), StringComparison.Ordinal);
        Assert.Contains("circle.txt", Assert.Throws<TitanException>(() => Datasets.Open("text", folder.At("circle.txt"))).Message, StringComparison.Ordinal);
        Assert.Contains("circle.txt", Assert.Throws<TitanException>(() => Datasets.Open("text", folder.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Links_to_folders_are_followed_but_not_in_circles()
    {
        folder.Write("data/a/1.txt", "x");
        folder.Write("data/b/2.txt", "x");
        folder.Write("other/3.txt", "x");
        Directory.CreateSymbolicLink(folder.At("data/a/up"), folder.Path);
        Directory.CreateSymbolicLink(folder.At("data/b/to-a"), folder.At("data/a"));
        Directory.CreateSymbolicLink(folder.At("data/self"), folder.At("data/self"));
        Assert.Equal(["a/1.txt", "a/up/other/3.txt", "b/2.txt", "b/to-a/1.txt", "b/to-a/up/other/3.txt"],
            TextFiles.Find(folder.At("data")).Select(f => Path.GetRelativePath(folder.At("data"), f)));
    }

    [Theory]
    [InlineData("a.txt")]
    [InlineData("a.jsonl")]
    [InlineData("a.jsonl.gz")]
    public void Any_bytes_are_documents_or_a_data_error(string name)
    {
        Write(name, string.Concat(Documents.Select(d => JsonSerializer.Serialize(new { url = "x", text = d }) + "\n\n")));
        var whole = File.ReadAllBytes(folder.At(name));
        Gen.Int[0, whole.Length - 1].Select(Gen.Byte).Array[1, 4].Select(Gen.Int[0, whole.Length]).Each(500, sample =>
        {
            var (edits, cut) = sample;
            var damaged = (byte[])whole.Clone();
            foreach (var (at, value) in edits) damaged[at] = value;
            folder.Write("b" + name[1..], damaged[..cut]);
            try
            {
                _ = TextFiles.Read(folder.At("b" + name[1..])).Count();
            }
            catch (TitanException e)
            {
                Assert.Equal(ExitCode.Data, e.Code);
                Assert.DoesNotContain('\n', e.Message);
            }
        });
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

    private void Fill(string name, string text, int times)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        using var file = File.Create(folder.At(name));
        using var stream = new GZipStream(file, CompressionLevel.Fastest);
        for (var i = 0; i < times; i++) stream.Write(bytes);
    }

    private void Write(string name, string text)
    {
        using Stream file = File.Create(folder.At(name));
        using var stream = name.EndsWith(".gz", StringComparison.OrdinalIgnoreCase) ? new GZipStream(file, CompressionLevel.Fastest) : file;
        stream.Write(Encoding.UTF8.GetBytes(text));
    }

    /// <summary>Two rows; of a list column, two and one elements.</summary>
    private async Task WriteNested(string name, Field[] fields, Dictionary<string, string[]> values)
    {
        await using var file = File.Create(folder.At(name));
        var schema = new ParquetSchema(fields);
        await using var writer = await ParquetWriter.CreateAsync(schema, file);
        using var group = writer.CreateRowGroup();
        foreach (var field in schema.GetDataFields())
        {
            if (field.MaxRepetitionLevel > 0) await group.WriteAsync(field, (IReadOnlyCollection<string>)["a", "b", "c"], new ReadOnlyMemory<int>([0, 1, 0]));
            else await group.WriteAsync(field, (IReadOnlyCollection<string>)values[field.Path.ToString()]);
        }
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
