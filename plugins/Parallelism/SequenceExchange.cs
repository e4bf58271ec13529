using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.Parallelism;

/// <summary>Collectives over the sequence, dimension 1 of [B, S, F]; ranks hold equal parts in rank order. Not differentiable.</summary>
internal static class SequenceExchange
{
    /// <summary>[B, s, F] of every rank to [B, S, F], for several tensors by one message.</summary>
    public static IReadOnlyList<Tensor> Gather(this IProcessGroup group, IReadOnlyList<Tensor> parts)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        var sent = parts.Select(p => p.contiguous()).ToList();
        var all = sent.Select(p => empty([group.Size * p.shape[0], .. p.shape[1..]], dtype: p.dtype, device: p.device)).ToList();
        if (all.Count == 1) group.AllGatherIntoTensor(all[0], sent[0]);
        else group.AllGatherIntoTensorCoalescedAsync(all, sent).Wait();
        return [.. all.Select(a => Ordered(a, group.Size).MoveToOuterDisposeScope())];
    }

    /// <summary>The sum over ranks of [B, S, F], this rank's part [B, s, F]; added in fp32 in the order of ranks, and rounded once.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/> when the sequence cannot be shared out.</exception>
    public static Tensor ReduceScatter(this IProcessGroup group, Tensor whole)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        long b = whole.shape[0], s = whole.shape[1], f = whole.shape[2], ranks = group.Size;
        if (s % ranks != 0)
            throw new TitanException(ExitCode.Usage, $"tensor parallel over {ranks} ranks: a sequence of {s} tokens; expected a multiple of {ranks} (training.seq_len, validation.seq_len)");
        var parts = whole.reshape(b, ranks, s / ranks, f).transpose(0, 1).contiguous().view(ranks * b, s / ranks, f);
        if (whole.dtype == ScalarType.Float32)
        {
            var own = empty(b, s / ranks, f, device: whole.device);
            group.ReduceScatterTensor(own, parts);
            return own.MoveToOuterDisposeScope();
        }

        // Half of the bytes of fp32 on the wire, the same sum.
        var received = empty_like(parts);
        group.AllToAllSingle(received, parts);
        var sum = received.narrow(0, 0, b).to(ScalarType.Float32);
        for (var r = 1; r < ranks; r++) sum.add_(received.narrow(0, r * b, b));

        return sum.to(whole.dtype).MoveToOuterDisposeScope();
    }

    /// <summary>The largest over ranks of each element; the argument is left as it is.</summary>
    public static Tensor Max(this IProcessGroup group, Tensor own)
    {
        using var none = no_grad();
        var max = own.clone();
        group.AllReduce(max, ReduceOperation.Max);
        return max;
    }

    private static Tensor Ordered(Tensor all, int ranks)
    {
        var shape = all.shape;
        var b = shape[0] / ranks;
        return all.view(ranks, b, shape[1], shape[2]).transpose(0, 1).reshape(b, ranks * shape[1], shape[2]);
    }
}
