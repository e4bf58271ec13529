using Titan.Abstractions;
using Titan.Models;
using static TorchSharp.torch;

namespace Titan.Training.HuggingFace;

/// <summary>Finds for a model's tensors what they become in Hugging Face's layout.</summary>
internal static class ExportPlan
{
    /// <summary>The foreign tensors that a model's tensors are, in the order of the model.</summary>
    /// <param name="format">How the flavor is stored.</param>
    /// <param name="tensors">All of the model, whole; those that the layout has no place for are passed over.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when a tensor has no place there, or one there would not be whole; all of them.</exception>
    public static IReadOnlyList<(string Name, IReadOnlyList<long> Shape, ScalarType Type)> Of(HuggingFaceFormat format, IReadOnlyList<(string Fqn, IReadOnlyList<long> Shape, ScalarType Type)> tensors)
    {
        var filled = new Dictionary<string, (long Elements, ScalarType Type)>(StringComparer.Ordinal);
        var faults = new List<string>();
        foreach (var (fqn, shape, type) in tensors.Where(t => !format.NotStored.Contains(t.Fqn)))
        {
            try
            {
                foreach (var piece in format.Tensors.PiecesOf(fqn, ShardLayout.Whole(shape))) filled[piece.Foreign] = (filled.GetValueOrDefault(piece.Foreign).Elements + Elements(piece.Shape), type);
            }
            catch (TitanException e)
            {
                faults.Add(e.Message);
            }
        }

        faults.AddRange(format.Tensors.Foreign.Where(f => filled.GetValueOrDefault(f.Key).Elements != Elements(f.Value) && !(format.Optional.Contains(f.Key) && !filled.ContainsKey(f.Key)))
            .Select(f => $"'{f.Key}' would lack {Elements(f.Value) - filled.GetValueOrDefault(f.Key).Elements:N0} of its {Elements(f.Value):N0} elements"));
        if (faults.Count > 0)
            throw new TitanException(ExitCode.Data, $"the model cannot be written in Hugging Face's layout: {string.Join("; ", faults.Take(5))}{(faults.Count > 5 ? $"; and {faults.Count - 5} more" : "")}");
        return [.. format.Tensors.Foreign.Where(f => filled.ContainsKey(f.Key)).Select(f => (f.Key, f.Value, filled[f.Key].Type))];
    }

    /// <summary>What the layout has no place for, in words; null where it has a place for all.</summary>
    public static string? Left(HuggingFaceFormat format, IEnumerable<string> tensors)
    {
        var left = tensors.Where(format.NotStored.Contains).ToList();
        return left.Count == 0 ? null : $"{left.Count} tensors have no place in Hugging Face's layout and are not written: {string.Join(", ", left.Take(3))}{(left.Count > 3 ? ", ..." : "")}";
    }

    private static long Elements(IReadOnlyList<long> shape) => shape.Aggregate(1L, (a, b) => a * b);
}
