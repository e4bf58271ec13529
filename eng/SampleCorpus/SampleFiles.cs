using System.IO.Compression;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Titan.SampleCorpus;

/// <summary>The bytes of what is shipped under assets/.</summary>
internal static class SampleFiles
{
    public const int Vocabulary = 2048;
    public const ulong TrainingSeed = 7, ValidationSeed = 8, ConversationSeed = 9;
    public const int TrainingBytes = 3_000_000, ValidationBytes = 150_000, ConversationCount = 400;

    public static readonly string[] Special = ["<|begin_of_text|>", "<|end_of_text|>"];

    private static readonly JsonSerializerOptions Json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Lines of JSON with at least <paramref name="bytes"/> bytes of text.</summary>
    public static IEnumerable<string> Lines(ulong seed, int bytes)
    {
        var documents = new DocumentWriter(seed);
        for (var written = 0; written < bytes;)
        {
            var text = documents.Next();
            written += Encoding.UTF8.GetByteCount(text);
            yield return JsonSerializer.Serialize(new { text }, Json) + "\n";
        }
    }

    /// <summary>Lines of JSON, a conversation each.</summary>
    public static IEnumerable<string> Conversations()
    {
        var documents = new DocumentWriter(ConversationSeed);
        for (var i = 0; i < ConversationCount; i++)
            yield return JsonSerializer.Serialize(new { messages = documents.NextConversation().Select(m => new { role = m.Role, content = m.Content }) }, Json) + "\n";
    }

    public static void WriteCorpus(string path, ulong seed, int bytes)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        using var stream = new GZipStream(File.Create(path), CompressionLevel.SmallestSize);
        using var writer = new StreamWriter(stream, new UTF8Encoding(false));
        foreach (var line in Lines(seed, bytes)) writer.Write(line);
    }

    public static void WriteTokenizer(string folder, IReadOnlyList<string> symbols, IReadOnlyList<(string Left, string Right)> merges)
    {
        Directory.CreateDirectory(folder);
        var vocab = symbols.Select((symbol, id) => (symbol, id)).ToDictionary(s => s.symbol, s => s.id);
        var added = Special.Select((content, i) => new { id = symbols.Count + i, content, single_word = false, lstrip = false, rstrip = false, normalized = false, special = true });
        var tokenizer = new
        {
            version = "1.0",
            added_tokens = added,
            normalizer = (object?)null,
            pre_tokenizer = new { type = "ByteLevel", add_prefix_space = false, trim_offsets = true, use_regex = true },
            post_processor = (object?)null,
            decoder = new { type = "ByteLevel", add_prefix_space = true, trim_offsets = true, use_regex = true },
            model = new { type = "BPE", ignore_merges = false, vocab, merges = merges.Select(m => $"{m.Left} {m.Right}") },
        };
        File.WriteAllText(Path.Combine(folder, "tokenizer.json"), JsonSerializer.Serialize(tokenizer, Json) + "\n");
        File.WriteAllText(Path.Combine(folder, "tokenizer_config.json"), JsonSerializer.Serialize(new { bos_token = Special[0], eos_token = Special[1] }, Json) + "\n");
    }
}
