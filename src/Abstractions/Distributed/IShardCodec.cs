using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>The matmul that a weight W [N, K] is wanted for.</summary>
public enum WeightUse
{
    /// <summary>X · Wᵀ, which contracts K.</summary>
    Output,

    /// <summary>G · W, which contracts N.</summary>
    GradInput,
}

/// <summary>One of the tensors that an encoded shard consists of: [Rows, Columns] of a dtype.</summary>
/// <param name="Type">Dtype; for the wire it is bytes.</param>
/// <param name="Rows">Rows for the shard's rows; proportional to them, so that the planes of all shards, one below the other, are the plane of the whole.</param>
/// <param name="Columns">Columns.</param>
/// <param name="ElementSize">Bytes of an element.</param>
public sealed record WirePlane(ScalarType Type, long Rows, long Columns, int ElementSize)
{
    /// <summary>Bytes of the plane.</summary>
    public long Bytes => Rows * Columns * ElementSize;
}

/// <summary>
/// How a converted layer's weight travels: a shard of rows becomes bytes, and the bytes of all shards become what the layer's matmul takes (upstream's
/// <c>fsdp_pre_all_gather</c> and <c>fsdp_post_all_gather</c>). The result is bit-identical to casting the gathered master weight.
/// </summary>
public interface IShardCodec
{
    /// <summary>Every shard's number of rows is a multiple of this (the length of blocks along the rows); the last is filled up with zeros.</summary>
    int RowMultiple { get; }

    /// <summary>Whether both uses have the same encoding, so that it needs to be gathered once.</summary>
    bool SameForBothUses { get; }

    /// <summary>Whether the amaxes of all weights are to be reduced by one collective after each optimizer step, instead of one per gather.</summary>
    bool PrecomputesScales { get; }

    /// <summary>Number of amaxes that must be reduced (MAX) over all shards before one can be encoded; 0 where the scales are local.</summary>
    long AmaxLength(WeightUse use);

    /// <summary>The shard's amaxes.</summary>
    /// <param name="shard">[n, K], the master weight's dtype.</param>
    /// <param name="use">The use.</param>
    /// <returns>[<see cref="AmaxLength"/>] fp32.</returns>
    Tensor Amax(Tensor shard, WeightUse use);

    /// <summary>What a shard of <paramref name="rows"/> rows becomes.</summary>
    IReadOnlyList<WirePlane> Planes(WeightUse use, long rows);

    /// <summary>Encodes a shard.</summary>
    /// <param name="shard">[n, K], n a multiple of <see cref="RowMultiple"/>.</param>
    /// <param name="amax">The reduced amaxes; null where <see cref="AmaxLength"/> is 0.</param>
    /// <param name="use">The use.</param>
    /// <returns>Contiguous tensors as <see cref="Planes"/> says.</returns>
    IReadOnlyList<Tensor> Encode(Tensor shard, Tensor? amax, WeightUse use);

    /// <summary>What the layer takes in the place of its weight.</summary>
    /// <param name="planes">The planes of the whole weight; rows beyond it are filling. The result may keep views of them.</param>
    /// <param name="amax">The reduced amaxes; null where <see cref="AmaxLength"/> is 0.</param>
    /// <param name="use">The use.</param>
    /// <returns>Belongs to no dispose scope; whoever asked disposes it.</returns>
    IDisposable Decode(IReadOnlyList<Tensor> planes, Tensor? amax, WeightUse use);

    /// <summary>A number that changes whenever the shard is written to: amaxes that were computed before are stale then.</summary>
    long Version(Tensor shard);
}
