using System.Text.Json.Nodes;
using Titan.Models;
using static Titan.Models.TensorRule;

namespace Titan.Plugins.Qwen3;

/// <summary>A Qwen 3 in Hugging Face's checkpoints. Both turn halves of a head; experts have names of their own there; a tied head is not stored, and the expert bias has no place.</summary>
internal static class Qwen3HuggingFace
{
    public static HuggingFaceFormat Of(Qwen3Args args) => new(Tensors(args), Config(args))
    {
        NotStored = args.Mixture is null ? new HashSet<string>() : Enumerable.Range(0, args.Layers).Select(i => $"layers.{i}.moe.expert_bias").ToHashSet(),
    };

    private static HuggingFaceConfig Config(Qwen3Args a) => new(
    [
        new("architectures", new JsonArray(a.Mixture is null ? "Qwen3ForCausalLM" : "Qwen3MoeForCausalLM")), new("model_type", a.Mixture is null ? "qwen3" : "qwen3_moe"),
        new("hidden_size", a.Dimension), new("intermediate_size", a.Hidden) { Matters = a.Mixture is null }, new("num_hidden_layers", a.Layers),
        new("num_attention_heads", a.Heads), new("num_key_value_heads", a.KvHeads), new("head_dim", a.HeadDimension) { IfAbsent = 128 },
        new("vocab_size", a.Vocabulary), HuggingFaceField.Float("rms_norm_eps", Qwen3Args.NormEpsilon) with { IfAbsent = 1e-6 }, new("hidden_act", "silu") { IfAbsent = "silu" },
        HuggingFaceField.Float("rope_theta", a.RopeTheta) with { IfAbsent = 10000 }, new("rope_scaling", null),
        new("max_position_embeddings", a.LongestContext) { Matters = false }, new("initializer_range", 0.02) { Matters = false },
        new("attention_bias", false) { IfAbsent = false }, new("use_sliding_window", false) { IfAbsent = false }, new("tie_word_embeddings", a.TiedEmbeddings) { IfAbsent = false },
        .. a.Mixture is { } m ? Mixture(m) : [],
    ]);

    private static IReadOnlyList<HuggingFaceField> Mixture(MoeArgs m) =>
    [
        new("num_experts", m.Router.Experts), new("num_experts_per_tok", m.Router.TopK), new("moe_intermediate_size", m.Experts.Hidden), new("norm_topk_prob", m.Router.Norm) { IfAbsent = false },
        new("decoder_sparse_step", 1) { IfAbsent = 1 }, new("mlp_only_layers", new JsonArray()) { IfAbsent = new JsonArray() },
    ];

    private static StateDictAdapter Tensors(Qwen3Args a)
    {
        long d = a.Dimension, q = (long)a.Heads * a.HeadDimension, kv = (long)a.KvHeads * a.HeadDimension;
        List<TensorRule> rules = [new Renamed("tok_embeddings.weight", [a.Vocabulary, d], "model.embed_tokens.weight"), new Renamed("norm.weight", [d], "model.norm.weight")];
        if (!a.TiedEmbeddings) rules.Add(new Renamed("output.weight", [a.Vocabulary, d], "lm_head.weight"));
        for (var i = 0; i < a.Layers; i++)
        {
            string ours = $"layers.{i}", theirs = $"model.layers.{i}";
            rules.AddRange(
            [
                new Renamed($"{ours}.attention.wq.weight", [q, d], $"{theirs}.self_attn.q_proj.weight"),
                new Renamed($"{ours}.attention.wk.weight", [kv, d], $"{theirs}.self_attn.k_proj.weight"),
                new Renamed($"{ours}.attention.wv.weight", [kv, d], $"{theirs}.self_attn.v_proj.weight"),
                new Renamed($"{ours}.attention.wo.weight", [d, q], $"{theirs}.self_attn.o_proj.weight"),
                new Renamed($"{ours}.attention.q_norm.weight", [a.HeadDimension], $"{theirs}.self_attn.q_norm.weight"),
                new Renamed($"{ours}.attention.k_norm.weight", [a.HeadDimension], $"{theirs}.self_attn.k_norm.weight"),
                new Renamed($"{ours}.attention_norm.weight", [d], $"{theirs}.input_layernorm.weight"),
                new Renamed($"{ours}.ffn_norm.weight", [d], $"{theirs}.post_attention_layernorm.weight"),
                .. a.Mixture is { } mixture ? Experts(mixture, d, ours, theirs) : SwiGlu(a.Hidden, d, $"{ours}.feed_forward", $"{theirs}.mlp"),
            ]);
        }

        return new StateDictAdapter(rules);
    }

    private static IEnumerable<TensorRule> Experts(MoeArgs m, long d, string ours, string theirs) =>
    [
        new Renamed($"{ours}.moe.router.gate.weight", [m.Router.Experts, d], $"{theirs}.mlp.gate.weight"),
        new Stacked($"{ours}.moe.experts.w1", [m.Router.Experts, m.Experts.Hidden, d], e => $"{theirs}.mlp.experts.{e}.gate_proj.weight"),
        new Stacked($"{ours}.moe.experts.w2", [m.Router.Experts, d, m.Experts.Hidden], e => $"{theirs}.mlp.experts.{e}.down_proj.weight"),
        new Stacked($"{ours}.moe.experts.w3", [m.Router.Experts, m.Experts.Hidden, d], e => $"{theirs}.mlp.experts.{e}.up_proj.weight"),
    ];
}
