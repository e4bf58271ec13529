using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.Parallelism;

/// <summary>The weights that are gathered together, by one collective for all that are missing.</summary>
internal sealed class ShardedUnit(IReadOnlyList<ShardedWeight> weights, IProcessGroup group, ScaleAmaxes amaxes)
{
    private readonly Dictionary<(ShardedWeight, WeightUse), IDisposable> gathered = [];
    private readonly List<Gathering> pending = [];

    /// <summary>A gather under way, and what its planes will become.</summary>
    private sealed record Gathering(IWork Work, IReadOnlyList<(ShardedWeight Weight, WeightUse Form, Tensor? Amax, IReadOnlyList<Tensor> Planes)> Parts, IReadOnlyList<Tensor> Sent);

    public IReadOnlyList<ShardedWeight> Weights => weights;

    /// <summary>The uses that were asked for: in forward, and in backward.</summary>
    public HashSet<WeightUse> AskedInForward { get; } = [];

    public HashSet<WeightUse> AskedInBackward { get; } = [];

    /// <summary>Whether anything whole is held or on its way.</summary>
    public bool IsGathered => gathered.Count > 0 || pending.Count > 0;

    /// <summary>Starts to gather what the use needs and is neither here nor on its way.</summary>
    public void Begin(WeightUse use)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        var parts = new List<(ShardedWeight Weight, WeightUse Form, Tensor? Amax, IReadOnlyList<Tensor> Planes)>();
        var inputs = new List<Tensor>();
        foreach (var weight in weights)
        {
            var form = weight.Form(use);
            if (gathered.ContainsKey((weight, form)) || pending.Any(p => p.Parts.Any(x => x.Weight == weight && x.Form == form))) continue;
            var amax = weight.Codec is null ? null : amaxes.Of(weight, form);
            var planes = weight.Encode(form, amax);
            var room = ShardedWeight.Room(planes, group.Size);
            inputs.AddRange(planes);
            parts.Add((weight, form, amax, room));
        }

        if (parts.Count == 0) return;
        // They wait for the collective longer than this scope, or the caller's, lasts.
        foreach (var tensor in inputs.Concat(parts.SelectMany(p => p.Planes))) tensor.DetachFromDisposeScope();
        pending.Add(new Gathering(group.AllGatherIntoTensorCoalescedAsync([.. parts.SelectMany(p => p.Planes)], inputs), parts, inputs));
    }

    /// <summary>The whole weight in a form, waiting for it where it is on its way.</summary>
    public IDisposable Take(ShardedWeight weight, WeightUse use)
    {
        var key = (weight, weight.Form(use));
        if (gathered.TryGetValue(key, out var value)) return value;
        Begin(use);
        Complete();
        return gathered[key];
    }

    /// <summary>Drops what was gathered.</summary>
    public void Release()
    {
        // What is on its way writes into memory that must stay until it has come.
        Complete();
        foreach (var value in gathered.Values) value.Dispose();
        gathered.Clear();
    }

    /// <summary>The whole master weight of a layer that travels encoded, for whoever wants to see it (statistics): a collective of its own.</summary>
    public Tensor GatherAlone(ShardedWeight weight, ScalarType type)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        var shard = weight.Padded(weight.Parameter.alias());
        var whole = empty([shard.shape[0] * group.Size, .. shard.shape[1..]], dtype: shard.dtype, device: shard.device);
        group.AllGatherIntoTensor(whole, shard);
        return whole.narrow(0, 0, weight.Rows.Rows).to(type).MoveToOuterDisposeScope();
    }

    private void Complete()
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        foreach (var (work, parts, sent) in pending)
        {
            work.Wait();
            foreach (var tensor in sent) tensor.Dispose();
            foreach (var (weight, form, amax, planes) in parts)
            {
                gathered[(weight, form)] = weight.Decode(planes, form, amax);
                // What was decoded has views of the planes.
                foreach (var plane in planes) plane.Dispose();
            }
        }

        pending.Clear();
    }
}
