using static TorchSharp.torch;

namespace Titan.Training.Checkpoints;

/// <summary>
/// Finds NaN and infinity in tensors before they are saved: one reduction over each, where it lies, that needs no memory but its two results, and one transfer of all results.
/// </summary>
internal static class Finiteness
{
    /// <summary>Whether a dtype is one that weights and moments are kept in. Float8 is none: its bytes are made from weights, and saved by no run.</summary>
    public static bool IsFloat(ScalarType type) => type is ScalarType.Float64 or ScalarType.Float32 or ScalarType.Float16 or ScalarType.BFloat16;

    /// <summary>The first tensor with an element that is not finite; null when there is none.</summary>
    /// <param name="parts">The tensors.</param>
    /// <param name="type">The dtype in which they are to be finite; null for their own. Only their extremes are cast: rounding keeps order.</param>
    public static string? FirstNonFinite(IEnumerable<TensorPart> parts, ScalarType? type = null) =>
        Extremes(parts, type).FirstOrDefault(e => !double.IsFinite(e.Least) || !double.IsFinite(e.Greatest)).Name;

    /// <summary>The first tensor with an element below zero; null when there is none.</summary>
    public static string? FirstNegative(IEnumerable<TensorPart> parts) => Extremes(parts).FirstOrDefault(e => e.Least < 0).Name;

    /// <summary>The least and the greatest element of each tensor of floats that has any; NaN where one is NaN.</summary>
    private static List<(string Name, double Least, double Greatest)> Extremes(IEnumerable<TensorPart> parts, ScalarType? type = null)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        var some = parts.Where(p => IsFloat(p.Tensor.dtype) && p.Tensor.numel() > 0).ToList();
        if (some.Count == 0) return [];
        var extremes = some.SelectMany(p =>
        {
            var (least, greatest) = aminmax(p.Tensor);
            return new[] { least.to(type ?? least.dtype).to(ScalarType.Float64), greatest.to(type ?? greatest.dtype).to(ScalarType.Float64) };
        }).ToArray();
        var values = stack(extremes).cpu().data<double>();
        return [.. some.Select((p, i) => (p.Name, values[2 * i], values[2 * i + 1]))];
    }
}
