using TorchSharp;
using TorchSharp.Modules;
using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.Parallelism;

/// <summary>A weight of which this rank holds a run of rows. The whole is gathered with the rest of its unit.</summary>
internal sealed class ShardedWeight : IReducedWeight
{
    private readonly IWeightSource inner;
    private GatherSchedule? schedule;
    private ShardedUnit? unit;
    private (int Unit, int Weight) place;

    /// <summary>Shards a weight whose parameter is on the meta device, and makes this rank's shard of it.</summary>
    public ShardedWeight(UnitWeight whole, ParallelizationContext context)
    {
        (inner, Shards) = (whole.Source, WeightShards.Of(whole, context));
        var parameter = inner.Parameter;
        var (start, count) = Rows.OfRank(Shards.Group.Rank);
        Layout = inner.Layout.Narrow(Shards.Dimension, start, count);
        using var none = no_grad();
        Parameter = new Parameter(empty([.. Layout.Shape], dtype: parameter.dtype, device: context.Device), parameter.requires_grad);
        Replicas = inner.Replicas;
    }

    /// <inheritdoc />
    public Parameter Parameter { get; }

    /// <inheritdoc />
    public ShardLayout Layout { get; }

    /// <inheritdoc />
    public int Replicas { get; private set; }

    /// <summary>How the weight is shared out and travels.</summary>
    public WeightShards Shards { get; }

    /// <summary>How the weight travels; null for the compute dtype.</summary>
    public IShardCodec? Codec => Shards.Codec;

    /// <inheritdoc />
    public bool IsEncoded => Codec is not null;

    /// <inheritdoc />
    public bool IsTied => inner.IsTied;

    /// <inheritdoc />
    public RowShards Rows => Shards.Rows;

    /// <inheritdoc />
    public Tensor Turned(Tensor gradient) => Shards.Turned(gradient);

    /// <summary>Sums the gradients of all weights.</summary>
    public GradientReduction Gradients { get; private set; } = null!;

    /// <summary>Says that <paramref name="replicas"/> ranks hold what this one was thought to hold alone.</summary>
    public void Replicate(int replicas) => Replicas *= replicas;

    /// <summary>Gives the weight the objects that all weights share, and its place among them.</summary>
    public void Connect(GatherSchedule schedule, GradientReduction gradients, ShardedUnit unit, (int Unit, int Weight) place) =>
        (this.schedule, Gradients, this.unit, this.place) = (schedule, gradients, unit, place);

    /// <inheritdoc />
    public Tensor Gather(ScalarType type)
    {
        using var none = no_grad();
        // The codec knows no way back: what wants the master weight of an encoded layer gets it by itself.
        if (Codec is not null) return unit!.GatherAlone(this, type);
        var whole = (Tensor)Take(WeightUse.Output);
        return whole.dtype == type ? whole.alias() : whole.to(type);
    }

    /// <inheritdoc />
    public IDisposable? GatherEncoded(WeightUse use) => Codec is null ? null : Take(use);

    /// <inheritdoc />
    public Tensor? ReduceGradient(Tensor gradient)
    {
        using var scope = NewDisposeScope();
        if (inner.ReduceGradient(gradient) is { } reduced) Gradients.Deliver(this, reduced);
        return null;
    }

    /// <inheritdoc />
    public IProcessGroup? PartsGroup => inner.PartsGroup;

    /// <summary>This rank's part of the message.</summary>
    public IReadOnlyList<Tensor> Encode(WeightUse use, Tensor? amax)
    {
        using var scope = NewDisposeScope();
        var shard = Padded(Turned(Codec is null && Parameter.dtype != Shards.WireType ? Parameter.to(Shards.WireType) : Parameter.alias())).contiguous();
        return [.. (Codec is null ? [shard] : Codec.Encode(shard, amax, use)).Select(p => p.MoveToOuterDisposeScope())];
    }

    /// <summary>Buffers for the same part of every rank.</summary>
    public static IReadOnlyList<Tensor> Buffers(IReadOnlyList<Tensor> planes, int ranks) =>
        [.. planes.Select(p => empty([p.shape[0] * ranks, .. p.shape[1..]], dtype: p.dtype, device: p.device))];

    /// <summary>The whole weight from the parts of all ranks: a tensor, or what the codec makes.</summary>
    public IDisposable Decode(IReadOnlyList<Tensor> planes, WeightUse use, Tensor? amax) =>
        Codec is null ? Turned(planes[0].narrow(0, 0, Rows.Rows)).DetachFromDisposeScope() : Codec.Decode(planes, amax, use);

    /// <summary>This rank's rows, filled up with zeros to a full shard.</summary>
    public Tensor Padded(Tensor shard)
    {
        if (shard.shape[0] == Rows.PerRank) return shard;
        var padded = zeros([Rows.PerRank, .. Shards.Rest], dtype: shard.dtype, device: shard.device);
        if (shard.shape[0] > 0) padded.narrow(0, 0, shard.shape[0]).copy_(shard);
        return padded;
    }

    private IDisposable Take(WeightUse use)
    {
        schedule!.Ask(place.Unit, place.Weight, use, BackwardPass.IsRunning);
        return unit!.Whole(this, use);
    }
}
