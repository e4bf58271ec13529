using System.Text.Json.Nodes;
using Titan.Models;
using static Titan.Models.TensorRule;

namespace Titan.Plugins.GptOss;

/// <summary>
/// A gpt-oss in Hugging Face's checkpoints: gate and linear rows in turn on both sides. Experts lie the other way round there, but as here where they are quantised, as they were released. The
/// expert bias has no place.
/// </summary>
internal static class GptOssHuggingFace
{
    private const int LongestContext = 131072;

    public static HuggingFaceFormat Of(GptOssArgs args) => new(new StateDictAdapter(Tensors(args, isQuantised: false)), Config(args))
    {
        Quantised = new StateDictAdapter(Tensors(args, isQuantised: true)),
        NotStored = Enumerable.Range(0, args.Layers).Select(i => $"layers.{i}.moe.expert_bias").ToHashSet(),
    };

    private static HuggingFaceConfig Config(GptOssArgs a) => new(
    [
        new("architectures", new JsonArray("GptOssForCausalLM")), new("model_type", "gpt_oss"),
        new("hidden_size", a.Dimension), new("intermediate_size", a.ExpertHidden), new("num_hidden_layers", a.Layers),
        new("num_attention_heads", a.Heads), new("num_key_value_heads", a.KvHeads), new("head_dim", a.HeadDimension), new("sliding_window", a.Window),
        new("num_local_experts", a.Experts), new("num_experts_per_tok", a.TopK), HuggingFaceField.Float("swiglu_limit", a.SwiGluLimit) with { IfAbsent = 7 },
        new("vocab_size", a.Vocabulary), HuggingFaceField.Float("rms_norm_eps", GptOssArgs.NormEpsilon) with { IfAbsent = 1e-5 }, new("hidden_act", "silu") { IfAbsent = "silu" },
        HuggingFaceField.Float("rope_theta", a.RopeTheta) with { IfAbsent = 150000 }, .. Scaling(a),
        new("layer_types", new JsonArray([.. Enumerable.Range(0, a.Layers).Select(i => (JsonNode)(i % 2 == 0 ? "sliding_attention" : "full_attention"))])) { Matters = false },
        new("max_position_embeddings", LongestContext) { Matters = false }, new("initializer_range", 0.02) { Matters = false },
        new("attention_bias", true) { IfAbsent = true }, new("tie_word_embeddings", false) { IfAbsent = false },
    ]);

    private static IReadOnlyList<HuggingFaceField> Scaling(GptOssArgs a) => a.Yarn is { } yarn
        ?
        [
            new("rope_scaling.rope_type", "yarn"), HuggingFaceField.Float("rope_scaling.factor", yarn.Factor), HuggingFaceField.Float("rope_scaling.beta_fast", yarn.FastTurns),
            HuggingFaceField.Float("rope_scaling.beta_slow", yarn.SlowTurns), new("rope_scaling.truncate", false), new("rope_scaling.original_max_position_embeddings", a.OriginalContext),
        ]
        : [new("rope_scaling", null)];

    private static IEnumerable<TensorRule> Tensors(GptOssArgs a, bool isQuantised)
    {
        long d = a.Dimension, q = (long)a.Heads * a.HeadDimension, kv = (long)a.KvHeads * a.HeadDimension, e = a.Experts, h = a.ExpertHidden;
        yield return new Renamed("tok_embeddings.weight", [a.Vocabulary, d], "model.embed_tokens.weight");
        yield return new Renamed("norm.weight", [d], "model.norm.weight");
        yield return new Renamed("output.weight", [a.Vocabulary, d], "lm_head.weight");
        for (var i = 0; i < a.Layers; i++)
        {
            string ours = $"layers.{i}", theirs = $"model.layers.{i}";
            foreach (var (name, there, rows, columns) in new[] { ("wq", "q", q, d), ("wk", "k", kv, d), ("wv", "v", kv, d), ("wo", "o", d, q) })
            {
                yield return new Renamed($"{ours}.attention.{name}.weight", [rows, columns], $"{theirs}.self_attn.{there}_proj.weight");
                yield return new Renamed($"{ours}.attention.{name}.bias", [rows], $"{theirs}.self_attn.{there}_proj.bias");
            }

            yield return new Renamed($"{ours}.attention.sinks", [a.Heads], $"{theirs}.self_attn.sinks");
            yield return new Renamed($"{ours}.attention_norm.weight", [d], $"{theirs}.input_layernorm.weight");
            yield return new Renamed($"{ours}.ffn_norm.weight", [d], $"{theirs}.post_attention_layernorm.weight");
            yield return new Renamed($"{ours}.moe.router.gate.weight", [e, d], $"{theirs}.mlp.router.weight");
            yield return new Renamed($"{ours}.moe.router.gate.bias", [e], $"{theirs}.mlp.router.bias");
            yield return Expert($"{ours}.moe.experts.mlp1_weight", [e, 2 * h, d], $"{theirs}.mlp.experts.gate_up_proj");
            yield return new Renamed($"{ours}.moe.experts.mlp1_bias", [e, 2 * h], $"{theirs}.mlp.experts.gate_up_proj_bias");
            yield return Expert($"{ours}.moe.experts.mlp2_weight", [e, d, h], $"{theirs}.mlp.experts.down_proj");
            yield return new Renamed($"{ours}.moe.experts.mlp2_bias", [e, d], $"{theirs}.mlp.experts.down_proj_bias");
        }

        TensorRule Expert(string ours, long[] whole, string theirs) =>
            isQuantised ? new Renamed(ours, whole, theirs + "_blocks") : new Slice(ours, whole, theirs, [whole[0], whole[2], whole[1]], 0, 0, IsTransposed: true);
    }
}
