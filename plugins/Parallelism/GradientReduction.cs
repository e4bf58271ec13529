using TorchSharp;
using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.Parallelism;

/// <summary>
/// Sums gradients over ranks, in fp32, a unit at a time as soon as backward has delivered all of it: reduce-scatter to the shards, then all-reduce over the replicas.
/// </summary>
/// <param name="shards">The ranks among which rows are shared out; null for weights that are only replicated.</param>
internal sealed class GradientReduction(IProcessGroup? shards)
{
    private readonly List<Unit> units = [];
    private readonly Dictionary<IReducedWeight, Unit> unitOf = [];
    private readonly List<Unit> scattering = [];

    private sealed class Unit
    {
        public required IReadOnlyList<IReducedWeight> Weights { get; init; }

        /// <summary>The gradients of the whole weights that have come, filled up to whole shards.</summary>
        public Dictionary<IReducedWeight, Tensor> Delivered { get; } = [];

        /// <summary>What is on its way, and where this rank's part of each will be.</summary>
        public List<(IWork Work, List<(IReducedWeight Weight, Tensor Sent, Tensor Shard)> Parts)> Scattered { get; } = [];

        public List<(IWork Work, Tensor Flat, List<(IReducedWeight Weight, Tensor Shard)> Parts)> Replicated { get; } = [];
    }

    /// <summary>The ranks that hold the same shards; null for none.</summary>
    public IProcessGroup? Replicas { get; set; }

    /// <summary>Adds a unit.</summary>
    public void Add(IReadOnlyList<IReducedWeight> weights)
    {
        var unit = new Unit { Weights = [.. weights.Where(w => w.Parameter.requires_grad)] };
        units.Add(unit);
        foreach (var weight in unit.Weights) unitOf[weight] = unit;
    }

    /// <summary>Takes the gradient of a whole weight [rows, ...]; a second one of the same weight is added.</summary>
    public void Deliver(IReducedWeight weight, Tensor gradient)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        var unit = unitOf[weight];
        if (unit.Delivered.TryGetValue(weight, out var before))
        {
            before.narrow(0, 0, gradient.shape[0]).add_(gradient);
            return;
        }

        long ranks = shards?.Size ?? 1;
        var padded = weight.Rows.PerRank * ranks;
        Tensor wide;
        if (padded == gradient.shape[0]) wide = gradient.dtype == ScalarType.Float32 ? gradient.contiguous() : gradient.to(ScalarType.Float32).contiguous();
        else
        {
            wide = zeros([padded, .. gradient.shape[1..]], dtype: ScalarType.Float32, device: gradient.device);
            wide.narrow(0, 0, gradient.shape[0]).copy_(gradient);
        }

        unit.Delivered[weight] = wide.alias().DetachFromDisposeScope();
        if (unit.Delivered.Count == unit.Weights.Count) Begin(unit);
    }

    /// <summary>Sends what has come so far, waits for everything, and adds it to the parameters' gradients.</summary>
    public void Finish()
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        foreach (var unit in units) if (unit.Delivered.Count > 0) Begin(unit);
        Advance(0);
        foreach (var unit in units)
        {
            foreach (var (work, flat, parts) in unit.Replicated)
            {
                work.Wait();
                foreach (var (weight, shard) in parts)
                {
                    Accumulate(weight, shard);
                    shard.Dispose();
                }

                flat.Dispose();
            }

            unit.Replicated.Clear();
        }
    }

    private void Begin(Unit unit)
    {
        var parts = new List<(IReducedWeight Weight, Tensor Sent, Tensor Shard)>();
        // The order of the weights, not of arrival: it must be the same on every rank.
        foreach (var weight in unit.Weights)
        {
            if (!unit.Delivered.Remove(weight, out var sent)) continue;
            var shard = shards is null ? sent.alias() : empty([weight.Rows.PerRank, .. sent.shape[1..]], dtype: ScalarType.Float32, device: sent.device);
            parts.Add((weight, sent, shard.DetachFromDisposeScope()));
        }

        var work = shards is null ? new CombinedWork([]) : shards.ReduceScatterTensorCoalescedAsync([.. parts.Select(p => p.Shard)], [.. parts.Select(p => p.Sent)]);
        unit.Scattered.Add((work, parts));
        scattering.Add(unit);
        // The unit before has most likely come by now: its whole gradients can go, and it is its replicas' turn.
        Advance(shards is null ? 0 : 1);
    }

    /// <summary>Waits for the scatters of all but the newest <paramref name="keep"/> units, so that no more whole gradients are held, and passes them on to the replicas.</summary>
    private void Advance(int keep)
    {
        while (scattering.Count > keep)
        {
            var unit = scattering[0];
            scattering.RemoveAt(0);
            var (work, parts) = unit.Scattered[0];
            unit.Scattered.RemoveAt(0);
            work.Wait();
            foreach (var (_, sent, _) in parts) sent.Dispose();
            Replicate(unit, [.. parts.Select(p => (p.Weight, p.Shard))]);
        }
    }

    private void Replicate(Unit unit, List<(IReducedWeight Weight, Tensor Shard)> parts)
    {
        if (Replicas is null)
        {
            foreach (var (weight, shard) in parts)
            {
                Accumulate(weight, shard);
                shard.Dispose();
            }

            return;
        }

        var flat = cat([.. parts.Select(p => p.Shard.reshape(-1))]).DetachFromDisposeScope();
        var views = new List<(IReducedWeight, Tensor)>();
        long at = 0;
        foreach (var (weight, shard) in parts)
        {
            using var run = flat.narrow(0, at, shard.numel());
            views.Add((weight, run.reshape(shard.shape).DetachFromDisposeScope()));
            at += shard.numel();
            shard.Dispose();
        }

        unit.Replicated.Add((Replicas.AllReduceAsync(flat, ReduceOperation.Sum), flat, views));
    }

    private static void Accumulate(IReducedWeight weight, Tensor shard)
    {
        var parameter = weight.Parameter;
        using var own = shard.narrow(0, 0, parameter.shape[0]);
        using var typed = own.to(parameter.dtype);
        using var old = parameter.grad;
        if (old is null) parameter.grad = typed.dtype == shard.dtype ? typed.clone().DetachFromDisposeScope() : typed.alias().DetachFromDisposeScope();
        else using (old.add_(typed)) { }
    }
}
