using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.Casts;
using Titan.Quantization.Scaling;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Titan.Quantization.Linear;

/// <summary>Asks for weights to travel in float8.</summary>
/// <param name="PrecomputeScales">One collective for the amaxes of all weights after each optimizer step, instead of one per gather.</param>
public sealed record WeightWire(bool PrecomputeScales);

/// <summary>
/// How a weight travels, from the recipe's data: one amax per tensor is reduced, so is one per column where rows are shared out; scales per row, block and tile are
/// local and travel with the bytes.
/// </summary>
internal sealed class ShardCodec : IShardCodec
{
    private readonly LinearEngine engine;
    private readonly LinearShape shape;

    private ShardCodec(LinearEngine engine, LinearShape shape, WeightWire wire) => (this.engine, this.shape, PrecomputesScales) = (engine, shape, wire.PrecomputeScales);

    public int RowMultiple => Math.Max(RowsPerScale(WeightUse.Output), RowsPerScale(WeightUse.GradInput));

    public bool SameForBothUses => Cast(WeightUse.Output) == Cast(WeightUse.GradInput) && Cast(WeightUse.Output).Granularity is ScaleGranularity.Tensorwise;

    public bool PrecomputesScales { get; }

    /// <summary>The codec of a layer; null where a use of the weight is in high precision or cast by code, so that nothing is gained.</summary>
    public static ShardCodec? For(LinearEngine engine, LinearShape shape, WeightWire wire) =>
        engine.WeightCast(WeightUse.Output) is OperandCast.Scaled && engine.WeightCast(WeightUse.GradInput) is OperandCast.Scaled ? new ShardCodec(engine, shape, wire) : null;

    public long AmaxLength(WeightUse use) => Cast(use).Granularity switch
    {
        ScaleGranularity.Tensorwise => 1,
        ScaleGranularity.Rowwise when use == WeightUse.GradInput => shape.K,
        _ => 0,
    };

    public Tensor Amax(Tensor shard, WeightUse use)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        var length = AmaxLength(use);
        // More ranks than rows: nothing here is larger than anything elsewhere.
        if (shard.numel() == 0) return zeros(length, dtype: ScalarType.Float32, device: shard.device).MoveToOuterDisposeScope();
        var amax = length == 1 ? (shard is Parameter weight ? KnownAmaxes.Of(weight)?.max() : null) ?? engine.Kernels.Amax(shard) : engine.Kernels.AmaxAlong(shard, LinearEngine.Contracted(use));
        return amax.to(ScalarType.Float32).reshape(length).MoveToOuterDisposeScope();
    }

    public IReadOnlyList<WirePlane> Planes(WeightUse use, long rows)
    {
        var cast = Cast(use);
        var data = new WirePlane(cast.Format.Type, rows, shape.K, 1);
        var local = ScalesOf(use, rows);
        return local is { } scales ? [data, scales] : [data];
    }

    public IReadOnlyList<Tensor> Encode(Tensor shard, Tensor? amax, WeightUse use)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        var cast = Cast(use);
        if (amax is not null)
        {
            using var scale = ScaleMath.FromAmax(Shaped(amax, use), cast.Format, cast.Rounding);
            return [engine.Kernels.Cast(shard, scale, cast.Format).contiguous().MoveToOuterDisposeScope()];
        }

        var quantized = QuantizedTensor.Cast(shard, cast, LinearEngine.Contracted(use), engine.Kernels);
        return [quantized.Data.contiguous().MoveToOuterDisposeScope(), quantized.Scale.contiguous().MoveToOuterDisposeScope()];
    }

    public IDisposable Decode(IReadOnlyList<Tensor> planes, Tensor? amax, WeightUse use)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        var cast = Cast(use);
        var rows = (shape.N + RowsPerScale(use) - 1) / RowsPerScale(use) * RowsPerScale(use);
        var data = planes[0].narrow(0, 0, rows);
        var scale = amax is not null ? ScaleMath.FromAmax(Shaped(amax, use), cast.Format, cast.Rounding) : planes[1].narrow(0, 0, ScalesOf(use, rows)!.Rows);
        return new Operand(new QuantizedTensor(data.DetachFromDisposeScope(), scale.DetachFromDisposeScope(), cast.Format, TileOf(use)), null);
    }

    public long Version(Tensor shard) => AtenGateway.Version(shard);

    private OperandCast.Scaled Cast(WeightUse use) => (OperandCast.Scaled)engine.WeightCast(use);

    /// <summary>[] for one scale, [1, K] for one per column.</summary>
    private Tensor Shaped(Tensor amax, WeightUse use) => AmaxLength(use) == 1 && Cast(use).Granularity is ScaleGranularity.Tensorwise ? amax.reshape([]) : amax.reshape(1, shape.K);

    private WirePlane? ScalesOf(WeightUse use, long rows) => Cast(use) switch
    {
        { Granularity: ScaleGranularity.Rowwise } when use == WeightUse.Output => new WirePlane(ScalarType.Float32, rows, 1, 4),
        { Granularity: ScaleGranularity.Block block } cast when QuantizedTensor.IsMicroscaling(cast.Rounding) => use == WeightUse.Output
            ? new WirePlane(Float8Format.E8M0.Type, rows, (shape.K + block.Length - 1) / block.Length, 1)
            : new WirePlane(Float8Format.E8M0.Type, rows / block.Length, shape.K, 1),
        { Granularity: ScaleGranularity.Block or ScaleGranularity.Tile } when TileOf(use) is var (height, width) =>
            new WirePlane(ScalarType.Float32, (rows + height - 1) / height, (shape.K + width - 1) / width, 4),
        _ => null,
    };

    /// <summary>Rows and columns of the weight that share an fp32 scale inside; null for the other forms.</summary>
    private (int Rows, int Columns)? TileOf(WeightUse use) => Cast(use) switch
    {
        { Granularity: ScaleGranularity.Block block } cast when !QuantizedTensor.IsMicroscaling(cast.Rounding) => use == WeightUse.Output ? (1, block.Length) : (block.Length, 1),
        { Granularity: ScaleGranularity.Tile tile } => use == WeightUse.Output ? (tile.Rows, tile.Columns) : (tile.Columns, tile.Rows),
        _ => null,
    };

    /// <summary>Rows of the weight that share a scale, where shards must not cut between them.</summary>
    private int RowsPerScale(WeightUse use) => TileOf(use) is { } tile ? tile.Rows
        : use == WeightUse.GradInput && Cast(use).Granularity is ScaleGranularity.Block block ? block.Length : 1;
}
