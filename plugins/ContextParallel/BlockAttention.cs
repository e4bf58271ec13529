using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.ContextParallel;

/// <summary>
/// Attention of a piece of queries to one piece of keys and values after another, as if all were there at once (Milakov and Gimelshein, 2018; Dao et al., 2022): the
/// softmax over all keys is put together from the log-sum-exp of each tile. All in fp32, and no more scores at a time than a tile has. Not differentiable: backward is written out.
/// </summary>
/// <param name="shape">The layer.</param>
/// <param name="tileScores">The most scores of a tile.</param>
internal sealed class BlockAttention(AttentionShape shape, long tileScores = BlockAttention.TileScores)
{
    /// <summary>16 MiB of scores: a tile's matmuls are large enough for any device.</summary>
    public const long TileScores = 1 << 22;

    /// <summary>Tensors of a tile's size in backward: scores, probabilities and the gradients of both.</summary>
    public const int TileTensors = 4;

    private const long TileKeys = 1024;

    /// <summary>Scores of the largest tile of pieces.</summary>
    /// <param name="batch">Sequences.</param>
    /// <param name="heads">Heads.</param>
    /// <param name="piece">Tokens of a piece.</param>
    public static long ScoresOf(long batch, long heads, long piece)
    {
        var row = batch * heads * Math.Min(piece, TileKeys);
        return row * Height(TileScores, row, piece);
    }

    /// <summary>Stands for minus infinity, so that a row of a tile that sees nothing gives numbers that weigh nothing, and no NaN.</summary>
    private const float Hidden = -1e30f;

    private readonly double scale = 1 / Math.Sqrt(shape.HeadDimension);

    private readonly long groups = shape.Heads / shape.KvHeads;

    /// <summary>What the queries have seen so far.</summary>
    /// <param name="Output">[B, H, c, D] fp32: the mean of the values, weighted by the softmax over the keys so far.</param>
    /// <param name="LogSumExp">[B, H, c, 1] fp32: the logarithm of the sum of their exponentials.</param>
    public sealed record Seen(Tensor Output, Tensor LogSumExp)
    {
        /// <summary>Nothing.</summary>
        /// <param name="queries">[B, H, c, D].</param>
        public static Seen Nothing(Tensor queries) => new(
            zeros(queries.shape, dtype: ScalarType.Float32, device: queries.device), full([.. queries.shape[..3], 1], Hidden, dtype: ScalarType.Float32, device: queries.device));
    }

    /// <summary>Lets queries see a piece of keys; what they have seen is updated in place.</summary>
    /// <param name="seen">What they have seen before.</param>
    /// <param name="q">[B, H, c, D].</param>
    /// <param name="at">Place of the first query in the sequence.</param>
    /// <param name="k">[B, KV, n, D].</param>
    /// <param name="v">[B, KV, n, D].</param>
    /// <param name="from">Place of the first key.</param>
    public void Look(Seen seen, Tensor q, long at, Tensor k, Tensor v, long from)
    {
        foreach (var tile in Tiles(q, at, k, from))
        {
            using var scope = NewDisposeScope();
            var scores = Scores(tile, q, k);
            var lse = scores.logsumexp(-1, true);
            var part = Rows(scores.sub_(lse).exp_().matmul(Wide(v.narrow(2, tile.Key, tile.Keys))), tile.Queries);
            var own = Rows(lse, tile.Queries);
            Tensor output = seen.Output.narrow(2, tile.Query, tile.Queries), before = seen.LogSumExp.narrow(2, tile.Query, tile.Queries);
            var both = before.logaddexp(own);
            output.mul_((before - both).exp_()).add_(part.mul_((own - both).exp_()));
            before.copy_(both);
        }
    }

    /// <summary>The gradients that come of queries that saw a piece of keys; they are added to what is there, in fp32.</summary>
    /// <param name="known">What the queries saw in all.</param>
    /// <param name="gradient">Of the output, [B, H, c, D].</param>
    /// <param name="delta">The sum over D of gradient · output, [B, H, c, 1] fp32.</param>
    /// <param name="q">[B, H, c, D].</param>
    /// <param name="at">Place of the first query.</param>
    /// <param name="k">[B, KV, n, D].</param>
    /// <param name="v">[B, KV, n, D].</param>
    /// <param name="from">Place of the first key.</param>
    /// <param name="dq">As q, fp32.</param>
    /// <param name="dk">As k, fp32.</param>
    /// <param name="dv">As v, fp32.</param>
    public void LookBack(Tensor known, Tensor gradient, Tensor delta, Tensor q, long at, Tensor k, Tensor v, long from, Tensor dq, Tensor dk, Tensor dv)
    {
        foreach (var tile in Tiles(q, at, k, from))
        {
            using var scope = NewDisposeScope();
            Tensor queries = Grouped(q, tile), keys = Wide(k.narrow(2, tile.Key, tile.Keys)), values = Wide(v.narrow(2, tile.Key, tile.Keys)), g = Grouped(gradient, tile);
            var p = Scores(tile, q, k).sub_(Grouped(known, tile)).exp_();
            dv.narrow(2, tile.Key, tile.Keys).add_(p.transpose(-2, -1).matmul(g));
            // d scores = p · (g · vᵀ - delta)
            var ds = g.matmul(values.transpose(-2, -1)).sub_(Grouped(delta, tile)).mul_(p).mul_(scale);
            dq.narrow(2, tile.Query, tile.Queries).add_(Rows(ds.matmul(keys), tile.Queries));
            dk.narrow(2, tile.Key, tile.Keys).add_(ds.transpose(-2, -1).matmul(queries));
        }
    }

    /// <summary>A rectangle of scores that are not all hidden.</summary>
    /// <param name="Query">First query, counted in the piece.</param>
    /// <param name="Queries">Number of queries.</param>
    /// <param name="Key">First key, counted in the piece.</param>
    /// <param name="Keys">Number of keys.</param>
    /// <param name="Ahead">Place of the first query less that of the first key.</param>
    private readonly record struct Tile(long Query, long Queries, long Key, long Keys, long Ahead);

    private IEnumerable<Tile> Tiles(Tensor q, long at, Tensor k, long from)
    {
        long count = q.shape[2], keys = k.shape[2], width = Math.Min(keys, TileKeys);
        var height = Height(tileScores, q.shape[0] * shape.Heads * width, count);
        for (long query = 0; query < count; query += height)
        {
            for (long key = 0; key < keys; key += width)
            {
                var tile = new Tile(query, Math.Min(height, count - query), key, Math.Min(width, keys - key), at + query - from - key);
                if (SeesAny(tile)) yield return tile;
            }
        }
    }

    /// <summary>The queries of a tile: at least one.</summary>
    private static long Height(long scores, long row, long queries) => Math.Clamp(scores / row, 1, queries);

    /// <summary>Whether the last query reaches the first key, and the first query still the last key.</summary>
    private bool SeesAny(Tile tile) => (!shape.Causal || tile.Ahead + tile.Queries - 1 >= 0) && (shape.Window is not { } window || tile.Ahead - (tile.Keys - 1) < window);

    private bool SeesAll(Tile tile) => (!shape.Causal || tile.Ahead - (tile.Keys - 1) >= 0) && (shape.Window is not { } window || tile.Ahead + tile.Queries - 1 < window);

    /// <summary>[B, KV, groups · queries, keys] fp32.</summary>
    private Tensor Scores(Tile tile, Tensor q, Tensor k)
    {
        using var scope = NewDisposeScope();
        var scores = Grouped(q, tile).matmul(Wide(k.narrow(2, tile.Key, tile.Keys)).transpose(-2, -1)).mul_(scale);
        if (!SeesAll(tile))
        {
            // How far back a key lies.
            var back = arange(tile.Ahead, tile.Ahead + tile.Queries, dtype: ScalarType.Int64, device: q.device).unsqueeze(1) - arange(tile.Keys, dtype: ScalarType.Int64, device: q.device);
            var hidden = shape.Causal ? back.lt(0) : zeros_like(back, dtype: ScalarType.Bool);
            if (shape.Window is { } window) hidden = hidden.logical_or(back.ge(window));
            scores.view(scores.shape[0], shape.KvHeads, groups, tile.Queries, tile.Keys).masked_fill_(hidden, Hidden);
        }

        return scores.MoveToOuterDisposeScope();
    }

    /// <summary>Rows of a tile of [B, H, c, X], the heads that share keys under each other: [B, KV, groups · queries, X] fp32.</summary>
    private Tensor Grouped(Tensor x, Tile tile)
    {
        using var rows = x.narrow(2, tile.Query, tile.Queries);
        using var wide = rows.to(ScalarType.Float32);
        return wide.reshape(x.shape[0], shape.KvHeads, groups * tile.Queries, x.shape[3]);
    }

    /// <summary>The other way: [B, KV, groups · queries, X] to [B, H, queries, X].</summary>
    private Tensor Rows(Tensor x, long queries) => x.view(x.shape[0], shape.Heads, queries, x.shape[3]);

    private static Tensor Wide(Tensor x) => x.to(ScalarType.Float32);
}
