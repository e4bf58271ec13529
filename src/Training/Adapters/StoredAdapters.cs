using System.Text.Json;
using Titan.Abstractions;
using Titan.Training.Checkpoints;
using static TorchSharp.torch;

namespace Titan.Training.Adapters;

/// <summary>The low-rank adapters in a checkpoint of this program, as its metadata list them: whoever reads it needs no converter to know them.</summary>
internal sealed class StoredAdapters
{
    /// <summary>The key of the metadata.</summary>
    public const string Key = "adapters";

    private static readonly JsonSerializerOptions Json = new(JsonSerializerOptions.Strict) { IgnoreReadOnlyProperties = true };

    private readonly Dictionary<string, LowRankAdapter> of;
    private readonly IReadOnlyDictionary<string, StoredTensor> stored;

    private StoredAdapters(IReadOnlyList<LowRankAdapter> adapters, IReadOnlyDictionary<string, StoredTensor> stored)
    {
        (of, this.stored) = (adapters.ToDictionary(a => a.Weight, StringComparer.Ordinal), stored);
        Names = adapters.SelectMany(a => new[] { a.A, a.B }).ToHashSet();
    }

    /// <summary>The tensors that are A and B of one.</summary>
    public IReadOnlySet<string> Names { get; }

    /// <summary>Metadata with the adapters.</summary>
    public static IReadOnlyDictionary<string, string> Add(IReadOnlyDictionary<string, string> metadata, IReadOnlyList<LowRankAdapter> adapters) =>
        new Dictionary<string, string>(metadata) { [Key] = JsonSerializer.Serialize(adapters, Json) };

    /// <summary>Finds them.</summary>
    /// <param name="metadata">The checkpoint's.</param>
    /// <param name="stored">Its tensors.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when the metadata do not fit the tensors.</exception>
    public static StoredAdapters Of(IReadOnlyDictionary<string, string> metadata, IReadOnlyDictionary<string, StoredTensor> stored)
    {
        if (!metadata.TryGetValue(Key, out var text)) return new StoredAdapters([], stored);
        try
        {
            var adapters = JsonSerializer.Deserialize<List<LowRankAdapter>>(text, Json)!;
            if (adapters.FirstOrDefault(a => !Fits(a)) is { } other) throw new JsonException($"'{other.Weight}' has no A [{other.Rank}, K] and B [N, {other.Rank}] beside it");
            return new StoredAdapters(adapters, stored);
        }
        catch (Exception e) when (e is JsonException or ArgumentException or NullReferenceException)
        {
            throw new TitanException(ExitCode.Data, $"the checkpoint's metadata '{Key}' are not what this program saves there: {e.Message}", e);
        }

        bool Fits(LowRankAdapter a) => stored.TryGetValue(a.Weight, out var w) && stored.TryGetValue(a.A, out var x) && stored.TryGetValue(a.B, out var y) && w.Shape.Count == 2
            && double.IsFinite(a.Scale) && x.Shape.SequenceEqual([a.Rank, w.Shape[1]]) && y.Shape.SequenceEqual([w.Shape[0], a.Rank]);
    }

    /// <summary>Reads A and B of a weight.</summary>
    /// <returns>What merges them into a part of it; null where the weight has no adapter. Disposed of with the scope.</returns>
    public Func<TensorPart, TensorPart>? MergerOf(string weight)
    {
        if (!of.TryGetValue(weight, out var adapter)) return null;
        var wholes = new[] { adapter.A, adapter.B }.ToDictionary(name => name, Read);
        return part => AdapterWeights.Merge(part, adapter, wholes);
    }

    private Tensor Read(string name)
    {
        using var none = no_grad();
        var tensor = empty([.. stored[name].Shape], dtype: ScalarType.Float32);
        PartRead.Run(PartRead.Plan(stored[name], TensorPart.Whole(name, tensor), missing => new TitanException(ExitCode.Data, $"{missing} of {name} is in none of the checkpoint's files")));
        return tensor;
    }
}
