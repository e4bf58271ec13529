namespace Titan.Quantization.Roofline;

/// <summary>The sizes of a step of a Llama: bf16 compute, fp32 weights, one rank, no recomputation.</summary>
/// <param name="Tokens">M.</param>
/// <param name="Blocks">Transformer blocks.</param>
/// <param name="Dimension">Model dimension.</param>
/// <param name="KeyValue">Features of the keys, and of the values.</param>
/// <param name="FeedForward">Hidden dimension of the feed-forward layers.</param>
/// <param name="Vocabulary">Vocabulary size.</param>
public sealed record StepSizes(long Tokens, long Blocks, long Dimension, long KeyValue, long FeedForward, long Vocabulary);

/// <summary>A part of the account.</summary>
/// <param name="Name">What is moved.</param>
/// <param name="Apart">Bytes where each operation is a pass of its own, as up to version 0.1 of this project.</param>
/// <param name="Together">Bytes where kernels do on their way what others would need a pass for.</param>
public sealed record StepTrafficRow(string Name, long Apart, long Together);

/// <summary>
/// The bytes that the kernels of a training step move beyond matmuls and attention, forward and backward, for a tensorwise recipe with a head in bf16, by the table of bytes
/// of docs/cuda.md. An operand of n elements in bf16 takes 2n to read or write, its float8 bytes n, an fp32 weight or gradient 4n.
/// </summary>
public static class StepTraffic
{
    /// <summary>The account.</summary>
    public static IReadOnlyList<StepTrafficRow> Tensorwise(StepSizes s)
    {
        long d = s.Dimension, kv = s.KeyValue, f = s.FeedForward, m = s.Tokens, b = s.Blocks;
        long perBlock = 2 * d * d + 2 * d * kv + 3 * d * f, weights = b * perBlock, head = d * s.Vocabulary, all = weights + 2 * head, logits = m * s.Vocabulary;
        // Inputs of linears in a block: both norms, what attention gives, the product of the feed-forward layer. Gradients: q, k, v, what attention and the feed-forward
        // layer give, gate and up.
        long normed = 2 * m * d, attended = m * d, hidden = m * f;
        long gradients = 3 * m * d + 2 * m * kv + 2 * m * f, unknown = m * kv;
        return
        [
            new("gradients: zeroed", 4 * (all + head), 4 * head),     // that of the embedding is made of zeros either way
            new("gradients: added to what was zeroed", 12 * all, 0),
            new("gradients of linears: bf16 to fp32", 6 * (weights + head), 0),
            new("weights: amax and casts for two uses", 2 * (4 + 5) * weights, (4 + 6) * weights),
            new("weight of the head: bf16 for two uses", 2 * 6 * head, 6 * head),
            new("inputs of linears: amax and casts", b * 6 * (normed + attended + hidden), b * (4 * (normed + hidden) + 6 * attended)),
            new("gradients of outputs: amax and casts", b * 6 * gradients, b * (4 * (gradients - unknown) + 6 * unknown)),
            new("residual additions and RMSNorm, forward", b * 2 * (6 + 4) * m * d, b * 2 * 8 * m * d),
            new("RMSNorm and what flows past it, backward", b * 2 * (6 + 4 + 6) * m * d, b * 2 * 8 * m * d),
            new("sums of the gradients of layers that read one input", b * 3 * 6 * m * d, b * 3 * 6 * m * d),
            new("rotary, both ways", b * 2 * 4 * (m * d + m * kv), b * 2 * 4 * (m * d + m * kv)),
            new("SwiGLU, both ways", b * (6 + 10) * hidden, b * (6 + 10) * hidden),
            new("keys and values repeated for the heads that share them, both ways", b * 2 * 2 * (2 * m * kv + 2 * m * d), 0),
            new("logits: copy, cross-entropy, factor", (4 + 6 + 4) * logits, 4 * logits),
        ];
    }
}
