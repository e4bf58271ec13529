using TorchSharp;
using TorchSharp.Modules;
using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.Parallelism;

/// <summary>A weight of which this rank holds a run of rows. The whole is gathered with the rest of its unit.</summary>
internal sealed class ShardedWeight : IReducedWeight
{
    private readonly IWeightSource inner;
    private readonly RowShards rows;
    private readonly ScalarType wireType;
    private readonly long[] rest;
    private GatherSchedule? schedule;

    /// <summary>Shards <paramref name="inner"/>, whose parameter is on the meta device, and makes this rank's shard of it.</summary>
    public ShardedWeight(IWeightSource inner, IShardCodec? codec, ParallelizationContext context)
    {
        (this.inner, Codec, wireType) = (inner, codec, context.ParamType);
        var whole = inner.Parameter;
        rows = RowShards.Of(whole.shape[0], context.Group.Size, codec);
        rest = whole.shape[1..];
        Layout = rows.OfRank(inner.Layout, context.Group.Rank);
        using var none = no_grad();
        Parameter = new Parameter(empty([.. Layout.Shape], dtype: whole.dtype, device: context.Device), whole.requires_grad);
        Copies = inner.Copies;
    }

    /// <inheritdoc />
    public Parameter Parameter { get; }

    /// <inheritdoc />
    public ShardLayout Layout { get; }

    /// <inheritdoc />
    public int Copies { get; private set; }

    /// <summary>How the weight travels; null for the compute dtype.</summary>
    public IShardCodec? Codec { get; }

    /// <inheritdoc />
    public RowShards Rows => rows;

    /// <summary>Sums the gradients of all weights.</summary>
    public GradientReduction Gradients { get; private set; } = null!;

    /// <summary>Says that <paramref name="replicas"/> ranks hold what this one was thought to hold alone.</summary>
    public void Replicate(int replicas) => Copies *= replicas;

    /// <summary>Gives the weight the objects that all weights share.</summary>
    public void Connect(GatherSchedule schedule, GradientReduction gradients) => (this.schedule, Gradients) = (schedule, gradients);

    /// <inheritdoc />
    public Tensor Gather(ScalarType type)
    {
        using var none = no_grad();
        // The codec knows no way back: what wants the master weight of an encoded layer gets it by itself.
        if (Codec is not null) return schedule!.GatherAlone(this, type);
        var whole = (Tensor)schedule!.Take(this, WeightUse.Output);
        return whole.dtype == type ? whole.alias() : whole.to(type);
    }

    /// <inheritdoc />
    public IDisposable? GatherEncoded(WeightUse use) => Codec is null ? null : (IDisposable)schedule!.Take(this, use);

    /// <inheritdoc />
    public Tensor? ReduceGradient(Tensor gradient)
    {
        using var scope = NewDisposeScope();
        if (inner.ReduceGradient(gradient) is { } reduced) Gradients.Deliver(this, reduced);
        return null;
    }

    /// <inheritdoc />
    public IProcessGroup? PartsGroup => inner.PartsGroup;

    /// <summary>Which gathered form serves a use: one form where a codec says so, and where there is none.</summary>
    public WeightUse Form(WeightUse use) => Codec is { SameForBothUses: false } ? use : WeightUse.Output;

    /// <summary>This rank's part of the message.</summary>
    public IReadOnlyList<Tensor> Encode(WeightUse use, Tensor? amax)
    {
        using var scope = NewDisposeScope();
        var shard = Padded(Codec is null && Parameter.dtype != wireType ? Parameter.to(wireType) : Parameter.alias());
        return [.. (Codec is null ? [shard] : Codec.Encode(shard, amax, use)).Select(p => p.MoveToOuterDisposeScope())];
    }

    /// <summary>Room for the same part of every rank.</summary>
    public static IReadOnlyList<Tensor> Room(IReadOnlyList<Tensor> planes, int ranks) =>
        [.. planes.Select(p => empty([p.shape[0] * ranks, .. p.shape[1..]], dtype: p.dtype, device: p.device))];

    /// <summary>The whole weight from the parts of all ranks: a tensor, or what the codec makes.</summary>
    public IDisposable Decode(IReadOnlyList<Tensor> planes, WeightUse use, Tensor? amax) =>
        Codec is null ? planes[0].narrow(0, 0, rows.Rows).DetachFromDisposeScope() : Codec.Decode(planes, amax, use);

    /// <summary>This rank's rows, filled up with zeros to a full shard.</summary>
    public Tensor Padded(Tensor shard)
    {
        if (shard.shape[0] == rows.PerRank) return shard;
        var padded = zeros([rows.PerRank, .. rest], dtype: shard.dtype, device: shard.device);
        if (shard.shape[0] > 0) padded.narrow(0, 0, shard.shape[0]).copy_(shard);
        return padded;
    }
}
