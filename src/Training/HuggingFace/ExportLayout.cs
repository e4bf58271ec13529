using System.Text.Json;
using System.Text.Json.Nodes;
using Titan.Abstractions;
using Titan.Models;
using Titan.Training.Checkpoints;
using static TorchSharp.torch;

namespace Titan.Training.HuggingFace;

/// <summary>
/// Which tensor goes where in the files of an export: known on every rank before a byte is written, so that each writes its own boxes and nothing is gathered.
/// </summary>
/// <param name="Files">The files with their headers.</param>
/// <param name="Places">Each tensor's place.</param>
internal sealed record ExportLayout(IReadOnlyList<ExportFile> Files, IReadOnlyDictionary<string, ExportPlace> Places)
{
    /// <summary>Bytes that a file has at most, where one tensor is not larger: transformers' 5GB.</summary>
    public const long LargestFile = 5_000_000_000;

    private static readonly Dictionary<string, string> Metadata = new() { ["format"] = "pt" };
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <summary>Bytes of all files.</summary>
    public long Bytes => Files.Sum(f => f.Length);

    /// <summary>The file that says which tensor is in which file; null where there is one file.</summary>
    public string? Index => Files.Count == 1
        ? null
        : new JsonObject
        {
            ["metadata"] = new JsonObject { ["total_size"] = Files.Sum(f => f.Length - f.Header.Length) },
            ["weight_map"] = new JsonObject(Places.OrderBy(p => p.Key, StringComparer.Ordinal).Select(p => KeyValuePair.Create<string, JsonNode?>(p.Key, p.Value.File.Name))),
        }.ToJsonString(Indented);

    /// <summary>The texts of an export, and the index with them where there is one.</summary>
    public IReadOnlyDictionary<string, string> With(IReadOnlyDictionary<string, string> texts) =>
        Index is { } index ? texts.Append(new(HuggingFaceFolder.IndexName, index)).ToDictionary() : texts;

    /// <summary>Lays out tensors.</summary>
    /// <param name="tensors">Name, shape and dtype, in the order of the model.</param>
    /// <param name="groups">The file of each tensor, as an index that the assets bring has it; where it does not say all, files are filled one after the other.</param>
    /// <param name="largest">Bytes that a file has at most.</param>
    public static ExportLayout Make(IReadOnlyList<(string Name, IReadOnlyList<long> Shape, ScalarType Type)> tensors, IReadOnlyDictionary<string, string>? groups = null, long largest = LargestFile)
    {
        var written = tensors.Select(t => new SafetensorsFile.WrittenTensor(t.Name, t.Type, ShardLayout.Whole(t.Shape), () => [])).ToList();
        var files = groups is not null && written.All(t => groups.ContainsKey(t.Name))
            ? [.. written.GroupBy(t => groups[t.Name]).OrderBy(g => g.Key, StringComparer.Ordinal).Select(g => g.ToList())]
            : Fill(written, largest);
        var places = new Dictionary<string, ExportPlace>(StringComparer.Ordinal);
        var all = new List<ExportFile>();
        foreach (var (i, content) in files.Index())
        {
            var header = SafetensorsHeader.Compose(content, Metadata);
            var name = files.Count == 1 ? HuggingFaceFolder.SingleName : $"model-{i + 1:D5}-of-{files.Count:D5}.safetensors";
            var file = new ExportFile(name, header, header.Length + content.Sum(SizeOf));
            all.Add(file);
            long at = header.Length;
            foreach (var tensor in content)
            {
                places[tensor.Name] = new ExportPlace(file, at, tensor.Layout.GlobalShape, tensor.Type);
                at += SizeOf(tensor);
            }
        }

        return new ExportLayout(all, places);
    }

    private static List<List<SafetensorsFile.WrittenTensor>> Fill(List<SafetensorsFile.WrittenTensor> tensors, long largest)
    {
        List<List<SafetensorsFile.WrittenTensor>> files = [[]];
        long bytes = 0;
        foreach (var tensor in tensors)
        {
            var size = SizeOf(tensor);
            if (files[^1].Count > 0 && bytes + size > largest)
            {
                files.Add([]);
                bytes = 0;
            }

            files[^1].Add(tensor);
            bytes += size;
        }

        return files;
    }

    private static long SizeOf(SafetensorsFile.WrittenTensor tensor) => SafetensorsHeader.BytesOf(tensor.Type, tensor.Layout.Shape);
}

/// <summary>A file of an export.</summary>
/// <param name="Name">Its name in the folder.</param>
/// <param name="Header">The bytes before the first tensor's.</param>
/// <param name="Length">Bytes.</param>
internal sealed record ExportFile(string Name, byte[] Header, long Length);

/// <summary>A tensor's place in an export.</summary>
/// <param name="File">The file.</param>
/// <param name="Begin">Its first byte there.</param>
/// <param name="Shape">Its shape.</param>
/// <param name="Type">Its dtype.</param>
internal sealed record ExportPlace(ExportFile File, long Begin, IReadOnlyList<long> Shape, ScalarType Type);
