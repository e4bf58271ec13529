using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Models;

/// <summary>How evenly a step's tokens went to the experts, as numbers.</summary>
internal static class LoadMetrics
{
    /// <summary>Per layer the largest and the smallest load as multiples of the mean, and over all layers the largest, the mean entropy (1 for an even load) and how many experts got nothing.</summary>
    /// <param name="layers">FQN and fp32 [E] counts of each layer.</param>
    public static IReadOnlyList<ModelMetric> Of(IEnumerable<(string Fqn, Tensor Counts)> layers)
    {
        var found = new List<ModelMetric>();
        double largest = 0, entropy = 0;
        var (unused, count) = (0, 0);
        foreach (var (fqn, counts) in layers)
        {
            using var scope = NewDisposeScope();
            var load = counts.to(CPU).data<float>().ToArray();
            double mean = load.Average(), total = load.Sum(l => (double)l);
            // No token of this rank's data counted: nothing to say.
            if (total == 0) continue;
            found.Add(new($"moe/{fqn}/max_load", load.Max() / mean));
            found.Add(new($"moe/{fqn}/min_load", load.Min() / mean));
            largest = Math.Max(largest, load.Max() / mean);
            entropy += load.Length == 1 ? 1 : -load.Where(l => l > 0).Sum(l => l / total * Math.Log(l / total)) / Math.Log(load.Length);
            unused += load.Count(l => l == 0);
            count++;
        }

        return count == 0 ? [] : [new("moe/max_load", largest, "moe_load"), new("moe/entropy", entropy / count), new("moe/unused_experts", unused), .. found];
    }
}
