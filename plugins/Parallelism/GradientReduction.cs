using TorchSharp;
using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.Parallelism;

/// <summary>
/// Sums gradients over ranks, in fp32, a unit at a time as soon as backward has delivered all of it: reduce-scatter to the shards, then all-reduce over the replicas.
/// </summary>
internal sealed class GradientReduction
{
    /// <summary>What <see cref="HeldBytes"/> are.</summary>
    public const string MemoryName = "reducing", MemoryNote = "reducing: the fp32 gradients of two units";

    private const string What = "gradients";

    private readonly List<Unit> units = [];
    private readonly Dictionary<IReducedWeight, Unit> unitOf = [];

    /// <summary>The units whose whole gradients are on their way, oldest first, and where this rank's shards will be.</summary>
    private readonly Queue<(IWork Work, IReadOnlyList<Tensor> Sent, IReadOnlyList<Part> Shards)> scattering = [];

    /// <summary>The units whose shards are on their way, oldest first; the parts are views of the message.</summary>
    private readonly Queue<(IWork Work, Tensor Message, IReadOnlyList<Part> Shards)> replicating = [];

    /// <param name="Group">The ranks among which rows are shared out; null for weights that are only replicated.</param>
    /// <param name="Weights">What is reduced together, in the order that all ranks know.</param>
    /// <param name="Delivered">The gradients of whole weights that have come, filled up to whole shards.</param>
    private sealed record Unit(IProcessGroup? Group, IReadOnlyList<IReducedWeight> Weights, Dictionary<IReducedWeight, Tensor> Delivered);

    private sealed record Part(IReducedWeight Weight, Tensor Gradient);

    /// <summary>The ranks that hold the same shards; null for none.</summary>
    public IProcessGroup? Replicas { get; set; }

    /// <summary>Adds a unit.</summary>
    /// <param name="weights">What is reduced together.</param>
    /// <param name="group">The ranks among which rows are shared out; null for weights that are only replicated.</param>
    public void Add(IReadOnlyList<IReducedWeight> weights, IProcessGroup? group)
    {
        var unit = new Unit(group, [.. weights.Where(w => w.Parameter.requires_grad)], []);
        units.Add(unit);
        foreach (var weight in unit.Weights) unitOf[weight] = unit;
    }

    /// <summary>What is reduced in a step: unit by unit, once for each micro-batch.</summary>
    /// <param name="units">The ranks among which rows are shared out, null for none, and the elements of each weight's shard, of the weights that are trained.</param>
    /// <param name="replicas">The ranks that hold the same shards; null for none.</param>
    /// <param name="microBatches">Forward and backward passes of a step.</param>
    public static IEnumerable<PlannedCollective> Plan(IEnumerable<(IProcessGroup? Group, IReadOnlyList<long> Elements)> units, IProcessGroup? replicas, int microBatches)
    {
        foreach (var (shards, unit) in units.Where(u => u.Elements.Count > 0))
        {
            if (shards is not null) yield return new PlannedCollective(shards, CollectiveVerb.ReduceScatter, [.. unit.Select(PlannedTensor.Float32)], microBatches, StepPhase.Backward, What);
            if (replicas is not null) yield return PlannedCollective.AllReduce(replicas, unit.Sum(), microBatches, StepPhase.Backward, What);
        }
    }

    /// <summary>Memory while gradients are reduced: one unit's come in while those before are on their way.</summary>
    /// <param name="units">The elements of each unit's whole weights, filled up.</param>
    public static long HeldBytes(IEnumerable<long> units) => 2 * 4 * units.DefaultIfEmpty().Max();

    /// <summary>Takes the gradient of a whole weight [rows, ...]; a second one of the same weight is added.</summary>
    public void Deliver(IReducedWeight weight, Tensor gradient)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        var unit = unitOf[weight];
        gradient = weight.Turned(gradient);
        if (unit.Delivered.TryGetValue(weight, out var before))
        {
            before.narrow(0, 0, gradient.shape[0]).add_(gradient);
            return;
        }

        unit.Delivered[weight] = Padded(gradient, weight.Rows.PerRank * (unit.Group?.Size ?? 1)).DetachFromDisposeScope();
        if (unit.Delivered.Count == unit.Weights.Count) Begin(unit);
    }

    /// <summary>Sends what has come so far, waits for everything, and adds it to the parameters' gradients.</summary>
    public void Finish()
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        foreach (var unit in units) if (unit.Delivered.Count > 0) Begin(unit);
        Advance(0);
        while (replicating.TryDequeue(out var unit))
        {
            unit.Work.Wait();
            Accumulate(unit.Shards);
            unit.Message.Dispose();
        }
    }

    /// <summary>In fp32, contiguous, and filled up with zeros: a tensor of its own, or a second handle of the gradient.</summary>
    private static Tensor Padded(Tensor gradient, long rows)
    {
        if (rows == gradient.shape[0]) return gradient.to(ScalarType.Float32).contiguous().alias();
        var padded = zeros([rows, .. gradient.shape[1..]], dtype: ScalarType.Float32, device: gradient.device);
        padded.narrow(0, 0, gradient.shape[0]).copy_(gradient);
        return padded;
    }

    private void Begin(Unit unit)
    {
        // The order of the weights, not of arrival: it must be the same on every rank.
        List<Part> whole = [.. unit.Weights.Where(unit.Delivered.ContainsKey).Select(w => new Part(w, unit.Delivered[w]))];
        unit.Delivered.Clear();
        if (unit.Group is not { } shards)
        {
            Replicate(whole);
            return;
        }

        List<Tensor> sent = [.. whole.Select(p => p.Gradient)];
        List<Part> parts = [.. whole.Select(p => p with { Gradient = RoomForShard(p) })];
        scattering.Enqueue((shards.ReduceScatterTensorCoalescedAsync([.. parts.Select(p => p.Gradient)], sent), sent, parts));
        // The unit before has most likely come by now: its whole gradients can go, and it is its replicas' turn.
        Advance(1);
    }

    private static Tensor RoomForShard(Part whole) =>
        empty([whole.Weight.Rows.PerRank, .. whole.Gradient.shape[1..]], dtype: ScalarType.Float32, device: whole.Gradient.device).DetachFromDisposeScope();

    /// <summary>Waits for the scatters of all but the newest <paramref name="keep"/> units, so that no more whole gradients are held, and passes them on to the replicas.</summary>
    private void Advance(int keep)
    {
        while (scattering.Count > keep)
        {
            var (work, sent, parts) = scattering.Dequeue();
            work.Wait();
            foreach (var tensor in sent) tensor.Dispose();
            Replicate(parts);
        }
    }

    private void Replicate(IReadOnlyList<Part> parts)
    {
        if (Replicas is null)
        {
            Accumulate(parts);
            return;
        }

        var message = cat([.. parts.Select(p => p.Gradient.reshape(-1))]).DetachFromDisposeScope();
        var runs = message.split([.. parts.Select(p => p.Gradient.numel())]);
        var views = parts.Zip(runs, (part, run) => part with { Gradient = run.reshape(part.Gradient.shape).DetachFromDisposeScope() }).ToList();
        foreach (var part in parts) part.Gradient.Dispose();
        replicating.Enqueue((Replicas.AllReduceAsync(message, ReduceOperation.Sum), message, views));
    }

    /// <summary>Adds what has been summed to the parameters' gradients, and lets go of it.</summary>
    private static void Accumulate(IReadOnlyList<Part> parts)
    {
        foreach (var (weight, gradient) in parts)
        {
            using (gradient)
            using (var turned = weight.Turned(weight.Parameter))
            using (var own = gradient.narrow(0, 0, turned.shape[0]))
            using (var back = weight.Turned(own)) WeightGradient.Add(weight.Parameter, back);
        }
    }
}
