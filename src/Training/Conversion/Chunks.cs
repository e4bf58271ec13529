using Titan.Abstractions;

namespace Titan.Training.Conversion;

/// <summary>Cuts a tensor into boxes that follow each other in memory.</summary>
internal static class Chunks
{
    /// <summary>The boxes, in order.</summary>
    /// <param name="part">What to cut.</param>
    /// <param name="most">Elements that a box has at most.</param>
    public static IEnumerable<ShardLayout> Of(ShardLayout part, long most)
    {
        var elements = part.Shape.Aggregate(1L, (a, b) => a * b);
        var d = 0;
        while (d < part.Shape.Count && part.Shape[d] == 1) d++;
        if (elements <= most || d == part.Shape.Count) return [part];
        var each = Math.Max(1, most / (elements / part.Shape[d]));
        return Enumerable.Range(0, (int)((part.Shape[d] + each - 1) / each)).SelectMany(i => Of(part.Narrow(d, i * each, Math.Min(each, part.Shape[d] - i * each)), most));
    }
}
