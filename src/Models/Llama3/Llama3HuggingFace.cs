using System.Text.Json.Nodes;
using static Titan.Models.TensorRule;

namespace Titan.Models.Llama3;

/// <summary>
/// A Llama in Hugging Face's checkpoints. Its rotary embedding turns halves of a head there, neighbours here: rows of the query and key projections change places.
/// </summary>
internal static class Llama3HuggingFace
{
    // Of Llama 3.1: what its longest sequences had.
    private const int LongestContext = 131072;

    public static HuggingFaceFormat Of(Llama3Args args) => new(Tensors(args), Config(args));

    private static HuggingFaceConfig Config(Llama3Args a) => new(
    [
        new("architectures", new JsonArray("LlamaForCausalLM")), new("model_type", "llama"),
        new("hidden_size", a.Dimension), new("intermediate_size", a.FeedForward), new("num_hidden_layers", a.Layers),
        new("num_attention_heads", a.Heads), new("num_key_value_heads", a.KvHeads) { IfAbsent = a.Heads }, new("head_dim", a.HeadDimension) { IfAbsent = a.Dimension / a.Heads },
        new("vocab_size", a.Vocabulary), new("rms_norm_eps", a.NormEpsilon) { IfAbsent = 1e-6 }, new("hidden_act", "silu") { IfAbsent = "silu" },
        HuggingFaceField.Float("rope_theta", a.RopeTheta) with { IfAbsent = 10000 }, .. Scaling(a.Rotary.Scaling),
        new("max_position_embeddings", LongestContext) { Matters = false }, new("initializer_range", 0.02) { Matters = false },
        new("attention_bias", false) { IfAbsent = false }, new("mlp_bias", false) { IfAbsent = false }, new("tie_word_embeddings", false) { IfAbsent = false },
    ]);

    private static IReadOnlyList<HuggingFaceField> Scaling(RotaryScaling? scaling) => scaling is RotaryScaling.ByWavelength by
        ?
        [
            new("rope_scaling.rope_type", "llama3"), HuggingFaceField.Float("rope_scaling.factor", by.Factor),
            HuggingFaceField.Float("rope_scaling.low_freq_factor", by.LowFrequency), HuggingFaceField.Float("rope_scaling.high_freq_factor", by.HighFrequency),
            new("rope_scaling.original_max_position_embeddings", (long)by.OriginalContext),
        ]
        : [new("rope_scaling", null)];

    private static StateDictAdapter Tensors(Llama3Args a)
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
                .. SwiGlu(f, d, $"{ours}.feed_forward", $"{theirs}.mlp"),
                new Renamed($"{ours}.attention_norm.weight", [d], $"{theirs}.input_layernorm.weight"),
                new Renamed($"{ours}.ffn_norm.weight", [d], $"{theirs}.post_attention_layernorm.weight"),
            ]);
        }

        return new StateDictAdapter(rules);
    }
}
