using System.Text.Json.Nodes;
using Titan.Models;
using static Titan.Models.TensorRule;

namespace Titan.Plugins.Llama4;

/// <summary>
/// A Llama 4 in Hugging Face's checkpoints, as the text model in one that also sees. Experts lie transposed there, gate and up side by side; both turn neighbours. The expert bias has no place.
/// </summary>
internal static class Llama4HuggingFace
{
    private const string Prefix = "language_model.";

    public static HuggingFaceFormat Of(Llama4Args args) => new(new StateDictAdapter(Tensors(args)), Config(args))
    {
        NotStored = Enumerable.Range(0, args.Layers).Where(args.IsMixture).Select(i => $"layers.{i}.moe.expert_bias").ToHashSet(),
    };

    private static HuggingFaceConfig Config(Llama4Args a) => new(
    [
        new("architectures", new JsonArray("Llama4ForConditionalGeneration")), new("model_type", "llama4"), new("text_config.model_type", "llama4_text") { Matters = false },
        Text("hidden_size", a.Dimension), Text("intermediate_size", a.ExpertHidden), Text("intermediate_size_mlp", a.Hidden), Text("num_hidden_layers", a.Layers),
        Text("num_attention_heads", a.Heads), Text("num_key_value_heads", a.KvHeads), Text("head_dim", a.HeadDimension),
        Text("num_local_experts", a.Experts), Text("num_experts_per_tok", a.TopK), Text("interleave_moe_layer_step", a.MixtureStep),
        Text("vocab_size", a.Vocabulary), HuggingFaceField.Float("text_config.rms_norm_eps", Llama4Args.NormEpsilon) with { IfAbsent = 1e-5 }, Text("hidden_act", "silu") with { IfAbsent = "silu" },
        HuggingFaceField.Float("text_config.rope_theta", a.RopeTheta) with { IfAbsent = 500000 }, .. Scaling(a.Scaling),
        // 1 for a block that turns. The released models have other blocks without rotary embedding, and norms on queries and keys that upstream lacks.
        Text("no_rope_layers", new JsonArray([.. Enumerable.Range(0, a.Layers).Select(i => (JsonNode)(a.IsNope(i) ? 0 : 1))])),
        Text("attention_chunk_size", a.NopeStep is null ? null : a.FixedBlock), Text("use_qk_norm", false) with { IfAbsent = true }, Text("attn_temperature_tuning", false) with { IfAbsent = true },
        Text("max_position_embeddings", a.LongestContext) with { Matters = false }, Text("tie_word_embeddings", false) with { IfAbsent = false }, Text("attention_bias", false) with { IfAbsent = false },
    ]);

    private static HuggingFaceField Text(string name, JsonNode? value) => new($"text_config.{name}", value);

    private static IReadOnlyList<HuggingFaceField> Scaling(RotaryScaling? scaling) => scaling is RotaryScaling.ByWavelength by
        ?
        [
            Text("rope_scaling.rope_type", "llama3"), HuggingFaceField.Float("text_config.rope_scaling.factor", by.Factor),
            HuggingFaceField.Float("text_config.rope_scaling.low_freq_factor", by.LowFrequency), HuggingFaceField.Float("text_config.rope_scaling.high_freq_factor", by.HighFrequency),
            Text("rope_scaling.original_max_position_embeddings", (long)by.OriginalContext),
        ]
        : [Text("rope_scaling", null)];

    private static IEnumerable<TensorRule> Tensors(Llama4Args a)
    {
        long d = a.Dimension, q = (long)a.Heads * a.HeadDimension, kv = (long)a.KvHeads * a.HeadDimension, f = a.Hidden;
        yield return new Renamed("tok_embeddings.weight", [a.Vocabulary, d], $"{Prefix}model.embed_tokens.weight");
        yield return new Renamed("norm.weight", [d], $"{Prefix}model.norm.weight");
        yield return new Renamed("output.weight", [a.Vocabulary, d], $"{Prefix}lm_head.weight");
        for (var i = 0; i < a.Layers; i++)
        {
            string ours = $"layers.{i}", theirs = $"{Prefix}model.layers.{i}";
            yield return new Renamed($"{ours}.attention.wq.weight", [q, d], $"{theirs}.self_attn.q_proj.weight");
            yield return new Renamed($"{ours}.attention.wk.weight", [kv, d], $"{theirs}.self_attn.k_proj.weight");
            yield return new Renamed($"{ours}.attention.wv.weight", [kv, d], $"{theirs}.self_attn.v_proj.weight");
            yield return new Renamed($"{ours}.attention.wo.weight", [d, q], $"{theirs}.self_attn.o_proj.weight");
            yield return new Renamed($"{ours}.attention_norm.weight", [d], $"{theirs}.input_layernorm.weight");
            yield return new Renamed($"{ours}.ffn_norm.weight", [d], $"{theirs}.post_attention_layernorm.weight");
            foreach (var rule in a.IsMixture(i) ? Mixture(a, $"{ours}.moe", $"{theirs}.feed_forward") : SwiGlu(f, d, $"{ours}.feed_forward", $"{theirs}.feed_forward")) yield return rule;
        }
    }

    private static IEnumerable<TensorRule> Mixture(Llama4Args a, string ours, string theirs)
    {
        long d = a.Dimension, e = a.Experts, h = a.ExpertHidden;
        string both = $"{theirs}.experts.gate_up_proj";
        yield return new Renamed($"{ours}.router.gate.weight", [e, d], $"{theirs}.router.weight");
        yield return new Slice($"{ours}.experts.w1", [e, h, d], both, [e, d, 2 * h], 0, 0, IsTransposed: true);
        yield return new Slice($"{ours}.experts.w3", [e, h, d], both, [e, d, 2 * h], 0, h, IsTransposed: true);
        yield return new Slice($"{ours}.experts.w2", [e, d, h], $"{theirs}.experts.down_proj", [e, h, d], 0, 0, IsTransposed: true);
        if (a.SharedExperts == 0) yield break;
        foreach (var rule in SwiGlu(h * a.SharedExperts, d, $"{ours}.shared_experts", $"{theirs}.shared_expert")) yield return rule;
    }
}
