using System.Collections.Concurrent;
using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Models;

/// <summary>
/// The choices of the routers in one forward. A part that is computed again in backward takes the experts that it chose the first time: scores that nearly tie might fall the other way, and
/// neither its rows nor those of other ranks would fit. Only the first time counts for the load, and only where gradients follow: a validation moves no bias.
/// </summary>
/// <param name="trains">Whether gradients follow the forward.</param>
public sealed class ExpertChoices(bool trains)
{
    private readonly ConcurrentDictionary<object, Tensor> kept = new(ReferenceEqualityComparer.Instance);

    /// <summary>Routes.</summary>
    /// <param name="layer">Who asks.</param>
    /// <param name="route">Routes to the given experts, or chooses.</param>
    /// <param name="count">Told the experts that were chosen for the first time.</param>
    internal Routing Of(object layer, Func<Tensor?, Routing> route, Action<Tensor> count)
    {
        if (kept.TryRemove(layer, out var known)) {
            using (known) return route(known.alias());
        }
        var routing = route(null);
        if (!trains) return routing;
        count(routing.Experts);
        // Under no_grad although gradients follow: the part will be computed again.
        if (!is_grad_enabled()) kept[layer] = routing.Experts.alias().DetachFromDisposeScope();
        return routing;
    }
}
