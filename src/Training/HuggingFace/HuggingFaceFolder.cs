using System.Text.Json;
using System.Text.Json.Nodes;
using Titan.Abstractions;
using Titan.Training.Checkpoints;
using Titan.Training.Files;
using static TorchSharp.torch;

namespace Titan.Training.HuggingFace;

/// <summary>
/// A folder of weights as transformers save them: <c>model.safetensors</c>, or shards with <c>model.safetensors.index.json</c>, and <c>config.json</c>. Opening it reads headers
/// alone, and gathers all that is wrong with them.
/// </summary>
internal sealed class HuggingFaceFolder
{
    public const string SingleName = "model.safetensors", IndexName = "model.safetensors.index.json", ConfigName = "config.json";

    private const int LargestIndex = 256 << 20, LargestConfig = 16 << 20;

    // transformers write duplicates nowhere; whoever does means something else.
    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false };

    private readonly Dictionary<string, StoredForeign> tensors = new(StringComparer.Ordinal);
    private readonly List<string> problems = [];

    private HuggingFaceFolder(string path) => Root = path;

    /// <summary>The folder.</summary>
    public string Root { get; }

    /// <summary>The files with tensors.</summary>
    public IReadOnlyList<string> Files { get; private set; } = [];

    /// <summary>Each tensor, with the file that it is in.</summary>
    public IReadOnlyDictionary<string, StoredForeign> Tensors => tensors;

    /// <summary>The tensors that are codes with scales, by the name of the codes.</summary>
    public IReadOnlyDictionary<string, QuantisedTensor> Quantised { get; private set; } = new Dictionary<string, QuantisedTensor>();

    /// <summary>The tensors that the index puts into files that are missing or unreadable: nothing is known of them.</summary>
    public IReadOnlySet<string> Unknown { get; private set; } = new HashSet<string>();

    /// <summary><c>config.json</c>; null where there is none.</summary>
    public JsonObject? Config { get; private set; }

    /// <summary>What is wrong with the folder by itself, a line each.</summary>
    public IReadOnlyList<string> Problems => problems;

    /// <summary>Bytes of all tensors.</summary>
    public long Bytes => tensors.Values.Sum(t => t.Entry.Length);

    /// <summary>Whether a folder holds weights that this class opens.</summary>
    public static bool IsOne(string path) => RegularFile.IsTaken(Path.Combine(path, IndexName)) || RegularFile.IsTaken(Path.Combine(path, SingleName)) || Shards(path).Count > 0;

    /// <summary>Opens a folder.</summary>
    /// <param name="path">The folder.</param>
    /// <param name="key">What named it, for the message.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when it is no folder with such weights.</exception>
    public static HuggingFaceFolder Open(string path, string key)
    {
        if (File.Exists(path)) throw new TitanException(ExitCode.Data, $"{key} = '{path}' is a file; name the folder that holds {SingleName} or {IndexName}");
        if (!Directory.Exists(path)) throw new TitanException(ExitCode.Data, $"{key} = '{path}' does not exist; name a folder that holds {SingleName}, or {IndexName} with its shards");
        if (CheckpointKind.FormatOf(path) is { } format and not CheckpointManifest.HuggingFaceFormat)
            throw new TitanException(ExitCode.Data, $"{key} = '{path}' is a checkpoint of this program (format {format}), not a Hugging Face folder; load it without checkpoint.initial_load_in_hf, or make one of it with 'titan checkpoint convert'");
        if (!IsOne(path))
            throw new TitanException(ExitCode.Data, $"{key} = '{path}' holds no Hugging Face weights{(Other(path) is { } other ? $" that are read here, but {other}: save them as safetensors" : "")}: expected {SingleName}, or {IndexName} with its shards");
        try
        {
            var folder = new HuggingFaceFolder(path);
            folder.ReadConfig();
            folder.ReadHeaders();
            folder.Quantised = folder.tensors.Keys.Select(folder.QuantisedOf).OfType<QuantisedTensor>().ToDictionary(q => q.Name, StringComparer.Ordinal);
            return folder;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new TitanException(ExitCode.Data, $"{key} = '{path}' cannot be read: {e.Message}", e);
        }
    }

    private void ReadConfig()
    {
        var path = Path.Combine(Root, ConfigName);
        if (!RegularFile.IsTaken(path)) return;
        try
        {
            Config = JsonNode.Parse(RegularFile.ReadAllBytes(path, LargestConfig), documentOptions: Strict) as JsonObject;
            if (Config is null) problems.Add($"{ConfigName} is no JSON object");
        }
        catch (Exception e) when (e is JsonException or IOException)
        {
            problems.Add($"{ConfigName} is not readable: {e.Message}");
        }
    }

    private void ReadHeaders()
    {
        // As transformers choose: a single file comes first.
        if (RegularFile.IsTaken(Path.Combine(Root, SingleName)))
        {
            Files = [SingleName];
            _ = ReadHeader(SingleName);
        }
        else if (RegularFile.IsTaken(Path.Combine(Root, IndexName))) ReadShards(ReadIndex());
        else problems.Add($"{string.Join(", ", Shards(Root).Take(3))}{(Shards(Root).Count > 3 ? ", ..." : "")} are shards, and {IndexName}, which says what is in which, is missing");
    }

    private void ReadShards(IReadOnlyDictionary<string, string> map)
    {
        Files = [.. map.Values.Distinct().Order(StringComparer.Ordinal)];
        var unreadable = new HashSet<string>(Files.Where(f => !ReadHeader(f)), StringComparer.Ordinal);
        Unknown = map.Where(m => unreadable.Contains(m.Value)).Select(m => m.Key).ToHashSet(StringComparer.Ordinal);
        foreach (var (name, file) in map.Where(m => !unreadable.Contains(m.Value)))
        {
            if (!tensors.TryGetValue(name, out var stored)) problems.Add($"{name} is in {file} by the index, and is not in it");
            else if (Path.GetFileName(stored.Path) != file) problems.Add($"{name} is in {file} by the index, and is in {Path.GetFileName(stored.Path)}");
        }
    }

    private Dictionary<string, string> ReadIndex()
    {
        var map = new Dictionary<string, string>(StringComparer.Ordinal);
        try
        {
            using var json = JsonDocument.Parse(RegularFile.ReadAllBytes(Path.Combine(Root, IndexName), LargestIndex), Strict);
            if (json.RootElement.ValueKind != JsonValueKind.Object || !json.RootElement.TryGetProperty("weight_map", out var given) || given.ValueKind != JsonValueKind.Object)
                throw new JsonException("it has no object weight_map");
            foreach (var item in given.EnumerateObject())
            {
                var file = item.Value.ValueKind == JsonValueKind.String ? item.Value.GetString()! : throw new JsonException($"the file of '{item.Name}' is no text");
                // What it names is in this folder: an index is no way to other files.
                if (file.Length == 0 || file != Path.GetFileName(file) || file is "." or ".." || file.Contains('\\')) throw new JsonException($"the file of '{item.Name}' is '{file}', which is not in the folder");
                map[item.Name] = file;
            }

            if (map.Count == 0) throw new JsonException("its weight_map is empty");
        }
        catch (Exception e) when (e is JsonException or IOException)
        {
            problems.Add($"{IndexName} is not readable: {e.Message}");
        }

        return map;
    }

    /// <summary>Takes the tensors of a file; false where that cannot be done.</summary>
    private bool ReadHeader(string file)
    {
        var path = Path.Combine(Root, file);
        try
        {
            using var stream = RegularFile.OpenRead(path);
            foreach (var (name, entry) in SafetensorsHeader.Read(stream))
                if (!tensors.TryAdd(name, new StoredForeign(path, entry))) problems.Add($"{name} is in {Path.GetFileName(tensors[name].Path)} and in {file}");
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or InvalidOperationException or InvalidDataException)
        {
            problems.Add(e is FileNotFoundException ? $"{file} is missing" : $"{file}: {e.Message}");
            return false;
        }
    }

    /// <summary>A tensor with scales beside it; null for one that stands for itself.</summary>
    private QuantisedTensor? QuantisedOf(string name)
    {
        const string blocks = "_blocks";
        if (tensors[name].Entry.Type == Float8Format.E4M3.Type && tensors.TryGetValue(name + "_scale_inv", out var factors))
            return new QuantisedTensor.Float8Blocks(name, tensors[name], name + "_scale_inv", factors, BlockSize(0), BlockSize(1));
        var scaleName = name.EndsWith(blocks, StringComparison.Ordinal) ? name[..^blocks.Length] + "_scales" : name;
        return scaleName != name && tensors[name].Entry.Type == ScalarType.Byte && tensors.TryGetValue(scaleName, out var scales) ? new QuantisedTensor.MxFloat4(name, tensors[name], scaleName, scales) : null;
    }

    private long BlockSize(int dimension) =>
        Config?["quantization_config"]?["weight_block_size"] is JsonArray { Count: 2 } sizes && sizes[dimension] is JsonValue size && size.TryGetValue<long>(out var given) && given > 0 ? given : 128;

    private static IReadOnlyList<string> Shards(string path) =>
        Directory.Exists(path) ? [.. Directory.EnumerateFiles(path, "model-*-of-*.safetensors").Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal)] : [];

    private static string? Other(string path) => Directory.EnumerateFiles(path).Select(Path.GetFileName)
        .FirstOrDefault(f => Path.GetExtension(f) is ".bin" or ".pt" or ".pth" or ".gguf" or ".safetensors" or ".h5" or ".msgpack");
}

/// <summary>A tensor in a file of a Hugging Face folder.</summary>
/// <param name="Path">The file.</param>
/// <param name="Entry">Its place there.</param>
internal sealed record StoredForeign(string Path, SafetensorsFile.Entry Entry);
