using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.ContextParallel;

/// <summary>
/// Attention where each rank has the queries, keys and values of its two pieces of a sequence. Queries stay; the keys and values of the other ranks come, and in backward their
/// gradients go back to them. Between forward and backward a rank keeps its own part alone, with the log-sum-exp of its queries.
/// </summary>
internal sealed class SharedAttention(AttentionShape shape, Rotation rotation, SequencePieces pieces, int rank) : GuardedFunction
{
    private readonly BlockAttention attention = new(shape);

    /// <summary>[B, H, s, D] of q's dtype.</summary>
    /// <param name="q">[B, H, s, D], of this rank's head and tail piece.</param>
    /// <param name="k">[B, KV, s, D].</param>
    /// <param name="v">[B, KV, s, D].</param>
    /// <param name="shape">The layer.</param>
    /// <param name="rotation">How the others' come.</param>
    /// <param name="pieces">Who has which tokens.</param>
    /// <param name="rank">This rank.</param>
    public static Tensor Apply(Tensor q, Tensor k, Tensor v, AttentionShape shape, Rotation rotation, SequencePieces pieces, int rank) =>
        new SharedAttention(shape, rotation, pieces, rank).Apply(q, k, v);

    protected override Tensor Forward(Tensor[] inputs)
    {
        var q = inputs[0].contiguous();
        var own = stack([inputs[1], inputs[2]]);
        var seen = Halves(q).Select(BlockAttention.Seen.Nothing).ToArray();
        rotation.Forward(own, (owner, keys) => Each(q, owner, keys, (half, piece, at, from) =>
        {
            using var scope = NewDisposeScope();
            var (k, v) = Halves(keys)[piece] is var both ? (both[0], both[1]) : default;
            attention.Look(seen[half], Halves(q)[half], at, k, v, from);
        }));
        var output = cat([.. seen.Select(s => s.Output)], 2);
        var rounded = output.to(q.dtype);
        SaveForBackward(q, own, rounded, cat([.. seen.Select(s => s.LogSumExp)], 2));
        return rounded;
    }

    protected override Tensor?[] Backward(Tensor gradient)
    {
        Tensor q = Saved(0), own = Saved(1), output = Saved(2), known = Saved(3);
        var delta = (gradient.to(ScalarType.Float32) * output).sum(-1, keepdim: true);
        var dq = zeros(q.shape, dtype: ScalarType.Float32, device: q.device);
        var sum = rotation.Backward(own, (owner, keys, gradients) => Each(q, owner, keys, (half, piece, at, from) =>
        {
            using var scope = NewDisposeScope();
            Tensor both = Halves(keys)[piece], into = Halves(gradients)[piece];
            attention.LookBack(Halves(known)[half], Halves(gradient)[half], Halves(delta)[half], Halves(q)[half], at, both[0], both[1], from, Halves(dq)[half], into[0], into[1]);
        }));
        return [dq.to(q.dtype), sum[0].to(q.dtype), sum[1].to(q.dtype)];
    }

    /// <summary>Each half of the queries with each half of a rank's keys, and where both begin in the sequence.</summary>
    private void Each(Tensor q, int owner, Tensor keys, Action<int, int, long, long> look)
    {
        long piece = q.shape[2] / 2;
        var (queries, theirs) = (pieces.Starts(rank, piece), pieces.Starts(owner, piece));
        look(0, 0, queries.Head, theirs.Head);
        look(0, 1, queries.Head, theirs.Tail);
        look(1, 0, queries.Tail, theirs.Head);
        look(1, 1, queries.Tail, theirs.Tail);
    }

    /// <summary>The head and the tail of [..., s, X].</summary>
    private static Tensor[] Halves(Tensor x) => x.chunk(2, -2);
}
