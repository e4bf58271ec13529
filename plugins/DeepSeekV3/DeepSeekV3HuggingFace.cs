using System.Text.Json.Nodes;
using Titan.Models;
using static Titan.Models.TensorRule;

namespace Titan.Plugins.DeepSeekV3;

/// <summary>A DeepSeek-V3 in Hugging Face's checkpoints: other names, experts one by one, and the bias that balances them as a tensor of the gate's.</summary>
internal static class DeepSeekV3HuggingFace
{
    // Of the released models.
    private const int LongestContext = 163840;

    public static HuggingFaceFormat Of(DeepSeekV3Args args) => new(new StateDictAdapter(Tensors(args)), Config(args))
    {
        // Models without it were trained with a term of the loss.
        Optional = Enumerable.Range(args.DenseLayers, args.Layers - args.DenseLayers).Select(i => $"model.layers.{i}.mlp.gate.e_score_correction_bias").ToHashSet(),
    };

    private static HuggingFaceConfig Config(DeepSeekV3Args a) => new(
    [
        new("architectures", new JsonArray("DeepseekV3ForCausalLM")), new("model_type", "deepseek_v3"),
        new("hidden_size", a.Dimension), new("intermediate_size", a.Hidden), new("moe_intermediate_size", a.ExpertHidden), new("num_hidden_layers", a.Layers), new("first_k_dense_replace", a.DenseLayers),
        new("num_attention_heads", a.Heads), new("num_key_value_heads", a.Heads), new("q_lora_rank", a.QueryRank), new("kv_lora_rank", a.KvRank),
        new("qk_nope_head_dim", a.NopeDimension), new("qk_rope_head_dim", a.RopeDimension), new("v_head_dim", a.ValueDimension),
        new("n_routed_experts", a.Router.Experts), new("n_shared_experts", a.SharedExperts), new("num_experts_per_tok", a.Router.TopK),
        new("n_group", a.Router.Groups ?? 1), new("topk_group", a.Router.LimitedGroups ?? 1), new("topk_method", "noaux_tc") { Matters = false },
        new("scoring_func", a.Router.Score == RouterScore.Sigmoid ? "sigmoid" : "softmax"), new("norm_topk_prob", a.Router.Norm), HuggingFaceField.Float("routed_scaling_factor", a.Router.Scale),
        new("vocab_size", a.Vocabulary), HuggingFaceField.Float("rms_norm_eps", DeepSeekV3Args.NormEpsilon) with { IfAbsent = 1e-6 }, new("hidden_act", "silu") { IfAbsent = "silu" },
        HuggingFaceField.Float("rope_theta", DeepSeekV3Args.RopeTheta) with { IfAbsent = 10000 },
        new("rope_scaling.type", "yarn"), HuggingFaceField.Float("rope_scaling.factor", a.RopeFactor), new("rope_scaling.beta_fast", 32), new("rope_scaling.beta_slow", 1),
        HuggingFaceField.Float("rope_scaling.mscale", a.MScale), HuggingFaceField.Float("rope_scaling.mscale_all_dim", a.MScale), new("rope_scaling.original_max_position_embeddings", a.OriginalContext),
        new("max_position_embeddings", LongestContext) { Matters = false }, new("initializer_range", 0.02) { Matters = false },
        new("attention_bias", false) { IfAbsent = false }, new("tie_word_embeddings", false) { IfAbsent = false },
    ]);

    private static IEnumerable<TensorRule> Tensors(DeepSeekV3Args a)
    {
        long d = a.Dimension;
        yield return new Renamed("tok_embeddings.weight", [a.Vocabulary, d], "model.embed_tokens.weight");
        yield return new Renamed("norm.weight", [d], "model.norm.weight");
        yield return new Renamed("output.weight", [a.Vocabulary, d], "lm_head.weight");
        for (var i = 0; i < a.Layers; i++)
        {
            string ours = $"layers.{i}", theirs = $"model.layers.{i}";
            yield return new Renamed($"{ours}.attention_norm.weight", [d], $"{theirs}.input_layernorm.weight");
            yield return new Renamed($"{ours}.ffn_norm.weight", [d], $"{theirs}.post_attention_layernorm.weight");
            foreach (var rule in Attention(a, $"{ours}.attention", $"{theirs}.self_attn")) yield return rule;
            foreach (var rule in i < a.DenseLayers ? SwiGlu(a.Hidden, d, $"{ours}.feed_forward", $"{theirs}.mlp") : Mixture(a, $"{ours}.moe", $"{theirs}.mlp")) yield return rule;
        }
    }

    private static IEnumerable<TensorRule> Attention(DeepSeekV3Args a, string ours, string theirs)
    {
        long d = a.Dimension, q = (long)a.Heads * (a.NopeDimension + a.RopeDimension);
        if (a.QueryRank is { } rank)
        {
            yield return new Renamed($"{ours}.wq_a.weight", [rank, d], $"{theirs}.q_a_proj.weight");
            yield return new Renamed($"{ours}.q_norm.weight", [rank], $"{theirs}.q_a_layernorm.weight");
            yield return new Renamed($"{ours}.wq_b.weight", [q, rank], $"{theirs}.q_b_proj.weight");
        }
        else
        {
            yield return new Renamed($"{ours}.wq.weight", [q, d], $"{theirs}.q_proj.weight");
        }

        yield return new Renamed($"{ours}.wkv_a.weight", [a.KvRank + a.RopeDimension, d], $"{theirs}.kv_a_proj_with_mqa.weight");
        yield return new Renamed($"{ours}.kv_norm.weight", [a.KvRank], $"{theirs}.kv_a_layernorm.weight");
        yield return new Renamed($"{ours}.wkv_b.weight", [(long)a.Heads * (a.NopeDimension + a.ValueDimension), a.KvRank], $"{theirs}.kv_b_proj.weight");
        yield return new Renamed($"{ours}.wo.weight", [d, (long)a.Heads * a.ValueDimension], $"{theirs}.o_proj.weight");
    }

    private static IEnumerable<TensorRule> Mixture(DeepSeekV3Args a, string ours, string theirs)
    {
        long d = a.Dimension, e = a.Router.Experts, h = a.ExpertHidden;
        yield return new Renamed($"{ours}.router.gate.weight", [e, d], $"{theirs}.gate.weight");
        yield return new Renamed($"{ours}.expert_bias", [e], $"{theirs}.gate.e_score_correction_bias");
        yield return new Stacked($"{ours}.experts.w1", [e, h, d], i => $"{theirs}.experts.{i}.gate_proj.weight");
        yield return new Stacked($"{ours}.experts.w2", [e, d, h], i => $"{theirs}.experts.{i}.down_proj.weight");
        yield return new Stacked($"{ours}.experts.w3", [e, h, d], i => $"{theirs}.experts.{i}.up_proj.weight");
        if (a.SharedExperts == 0) yield break;
        foreach (var rule in SwiGlu(h * a.SharedExperts, d, $"{ours}.shared_experts", $"{theirs}.shared_experts")) yield return rule;
    }
}
