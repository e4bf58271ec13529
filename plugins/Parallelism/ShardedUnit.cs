using TorchSharp;
using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.Parallelism;

/// <summary>A unit of a run.</summary>
internal sealed class ShardedUnit(IReadOnlyList<ShardedWeight> weights, ScaleAmaxes amaxes) : GatheredUnit([.. weights.Select(w => w.Shards)])
{
    private readonly Dictionary<(ShardedWeight, WeightUse), IDisposable> gathered = [];
    private readonly List<Gathering> pending = [];

    /// <summary>A gather under way, and what its planes will become.</summary>
    private sealed record Gathering(IWork Work, IReadOnlyList<(ShardedWeight Weight, WeightUse Form, Tensor? Amax, IReadOnlyList<Tensor> Planes)> Parts, IReadOnlyList<Tensor> Sent);

    public IReadOnlyList<ShardedWeight> Weights => weights;

    /// <summary>The whole weight in the form for a use, after <see cref="Fetch"/>.</summary>
    public IDisposable Whole(ShardedWeight weight, WeightUse use) => gathered[(weight, weight.Shards.Form(use))];

    /// <summary>Waits for the weight where it is on its way.</summary>
    public override void Fetch(int weight, WeightUse use)
    {
        if (gathered.ContainsKey((weights[weight], weights[weight].Shards.Form(use)))) return;
        Begin(use);
        Complete();
    }

    /// <inheritdoc />
    public override void Release()
    {
        // What is on its way writes into memory that must stay until it has come.
        Complete();
        foreach (var value in gathered.Values) value.Dispose();
        gathered.Clear();
        base.Release();
    }

    /// <summary>The whole master weight of a layer that travels encoded, for whoever wants to see it (statistics): a collective of its own.</summary>
    public Tensor GatherAlone(ShardedWeight weight, ScalarType type)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        var shard = weight.Padded(weight.Parameter.alias());
        var whole = empty([shard.shape[0] * weight.Shards.Ranks, .. shard.shape[1..]], dtype: shard.dtype, device: shard.device);
        weight.Shards.Group.AllGatherIntoTensor(whole, shard);
        return whole.narrow(0, 0, weight.Rows.Rows).to(type).MoveToOuterDisposeScope();
    }

    protected override void Gather(IProcessGroup group, IReadOnlyList<(int Weight, WeightUse Form)> missing)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        var parts = new List<(ShardedWeight Weight, WeightUse Form, Tensor? Amax, IReadOnlyList<Tensor> Planes)>();
        var inputs = new List<Tensor>();
        foreach (var (index, form) in missing)
        {
            var weight = weights[index];
            var amax = weight.Codec is null ? null : amaxes.Of(weight, form);
            var planes = weight.Encode(form, amax);
            var buffers = ShardedWeight.Buffers(planes, group.Size);
            inputs.AddRange(planes);
            parts.Add((weight, form, amax, buffers));
        }

        // They wait for the collective longer than this scope, or the caller's, lasts.
        foreach (var tensor in inputs.Concat(parts.SelectMany(p => p.Planes))) tensor.DetachFromDisposeScope();
        pending.Add(new Gathering(group.AllGatherIntoTensorCoalescedAsync([.. parts.SelectMany(p => p.Planes)], inputs), parts, inputs));
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
