using static Titan.Models.TensorRule;

namespace Titan.Models.Llama3;

/// <summary>Hugging Face's names of a Llama's tensors. Its rotary embedding turns halves of a head, ours neighbours: rows of the query and key projections change places.</summary>
internal static class Llama3HuggingFace
{
    public static StateDictAdapter Of(Llama3Args a)
    {
        long d = a.Dimension, kv = (long)a.KvHeads * a.HeadDimension, f = a.FeedForward;
        List<TensorRule> rules =
        [
            new Renamed("tok_embeddings.weight", [a.Vocabulary, d], "model.embed_tokens.weight"),
            new Renamed("norm.weight", [d], "model.norm.weight"),
            new Renamed("output.weight", [a.Vocabulary, d], "lm_head.weight"),
        ];
        for (var i = 0; i < a.Layers; i++)
        {
            string ours = $"layers.{i}", theirs = $"model.layers.{i}";
            rules.AddRange(
            [
                new RotaryRows($"{ours}.attention.wq.weight", [d, d], $"{theirs}.self_attn.q_proj.weight", a.HeadDimension),
                new RotaryRows($"{ours}.attention.wk.weight", [kv, d], $"{theirs}.self_attn.k_proj.weight", a.HeadDimension),
                new Renamed($"{ours}.attention.wv.weight", [kv, d], $"{theirs}.self_attn.v_proj.weight"),
                new Renamed($"{ours}.attention.wo.weight", [d, d], $"{theirs}.self_attn.o_proj.weight"),
                new Renamed($"{ours}.feed_forward.w1.weight", [f, d], $"{theirs}.mlp.gate_proj.weight"),
                new Renamed($"{ours}.feed_forward.w2.weight", [d, f], $"{theirs}.mlp.down_proj.weight"),
                new Renamed($"{ours}.feed_forward.w3.weight", [f, d], $"{theirs}.mlp.up_proj.weight"),
                new Renamed($"{ours}.attention_norm.weight", [d], $"{theirs}.input_layernorm.weight"),
                new Renamed($"{ours}.ffn_norm.weight", [d], $"{theirs}.post_attention_layernorm.weight"),
            ]);
        }

        return new StateDictAdapter(rules);
    }
}
