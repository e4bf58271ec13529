using System.IO.Compression;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Titan.SampleCorpus;
using Titan.Training.Data;
using Titan.Training.Tokenizers;

// Makes what is shipped under assets/. Run from the repository's root:
//   dotnet run -c Release --project eng/SampleCorpus -- assets
const ulong trainingSeed = 7, validationSeed = 8;
const int trainingBytes = 3_000_000, validationBytes = 150_000, vocabulary = 2048;
string[] special = ["<|begin_of_text|>", "<|end_of_text|>"];
var json = new JsonSerializerOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

if (args is not [var assets])
{
    Console.Error.WriteLine("usage: Titan.SampleCorpus FOLDER   writes sample/*.jsonl.gz and tokenizer/*.json there");
    return 2;
}

var training = Path.Combine(assets, "sample", "train.jsonl.gz");
Write(training, trainingSeed, trainingBytes);
Write(Path.Combine(assets, "sample", "validation.jsonl.gz"), validationSeed, validationBytes);
Console.WriteLine("training the tokenizer ...");
var (symbols, merges) = BpeTrainer.Train(TextFiles.Read(training), vocabulary - special.Length);
WriteTokenizer(Path.Combine(assets, "tokenizer"), symbols, merges);
Console.WriteLine($"{symbols.Count + special.Length} entries, {merges.Count} merges");
return 0;

void Write(string path, ulong seed, int bytes)
{
    Directory.CreateDirectory(Path.GetDirectoryName(path)!);
    using var stream = new GZipStream(File.Create(path), CompressionLevel.SmallestSize);
    using var writer = new StreamWriter(stream, new UTF8Encoding(false));
    var documents = new DocumentWriter(seed);
    for (var written = 0; written < bytes;)
    {
        var text = documents.Next();
        written += Encoding.UTF8.GetByteCount(text);
        writer.Write(JsonSerializer.Serialize(new { text }, json) + "\n");
    }
}

void WriteTokenizer(string folder, IReadOnlyList<string> symbols, IReadOnlyList<(string Left, string Right)> merges)
{
    Directory.CreateDirectory(folder);
    var vocab = symbols.Select((symbol, id) => (symbol, id)).ToDictionary(s => s.symbol, s => s.id);
    var added = special.Select((content, i) => new { id = symbols.Count + i, content, single_word = false, lstrip = false, rstrip = false, normalized = false, special = true });
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
    File.WriteAllText(Path.Combine(folder, "tokenizer.json"), JsonSerializer.Serialize(tokenizer, json) + "\n");
    File.WriteAllText(Path.Combine(folder, "tokenizer_config.json"), JsonSerializer.Serialize(new { bos_token = special[0], eos_token = special[1] }, json) + "\n");
}
