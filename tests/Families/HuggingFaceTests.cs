using Titan.Abstractions;
using Titan.Models;
using static TorchSharp.torch;

namespace Titan.Families.Tests;

/// <summary>Each family's tensors in Hugging Face's layout, against what upstream's adapter makes; and what that loses is here.</summary>
public sealed class HuggingFaceTests
{
    [Theory]
    [InlineData("qwen3"), InlineData("qwen3_moe"), InlineData("deepseek_v3_qlora"), InlineData("llama4")]
    public void The_tensors_are_those_that_upstreams_adapter_makes(string name)
    {
        using var scope = NewDisposeScope();
        var format = GoldenModels.All[name].HuggingFace!();
        var theirs = Golden.Of($"{name}.hf");
        var foreign = format.Tensors.Foreign.ToDictionary(t => t.Key, t => string.Join(',', t.Value));
        // Upstream's loses the dense layers of Llama 4.
        if (name == "llama4")
        {
            var dense = foreign.Keys.Where(k => k.Contains(".feed_forward.gate_proj", StringComparison.Ordinal) || k.Contains(".feed_forward.up_proj", StringComparison.Ordinal)
                || k.Contains(".feed_forward.down_proj", StringComparison.Ordinal)).ToList();
            Assert.Equal(6, dense.Count);
            foreach (var key in dense) foreign.Remove(key);
        }

        Assert.Equal(theirs.ToDictionary(t => t.Key, t => string.Join(',', t.Value.shape)), foreign);
        foreach (var (fqn, tensor) in Ours(name))
        {
            if (format.NotStored.Contains(fqn) || fqn.Contains(".feed_forward.", StringComparison.Ordinal) && name == "llama4") continue;
            using var loaded = full_like(tensor, double.NaN);
            foreach (var piece in format.Tensors.PiecesOf(fqn, ShardLayout.Whole(tensor.shape)))
                piece.CopyInto(loaded, new ShardLayout(theirs[piece.Foreign].shape, piece.Offset, piece.Shape).Of(theirs[piece.Foreign]));
            Assert.True(loaded.eq(tensor).all().item<bool>(), fqn);
        }
    }

    [Theory]
    [InlineData("qwen3"), InlineData("qwen3_moe"), InlineData("deepseek_v3"), InlineData("deepseek_v3_qlora"), InlineData("llama4"), InlineData("llama4_top2"), InlineData("llama4_irope"), InlineData("gpt_oss")]
    public void Any_parts_go_there_and_come_back_bit_for_bit(string name)
    {
        using var scope = NewDisposeScope();
        var format = GoldenModels.All[name].HuggingFace!();
        var theirs = format.Tensors.Foreign.ToDictionary(t => t.Key, t => full([.. t.Value], double.NaN));
        var ours = Ours(name).Where(t => !format.NotStored.Contains(t.Key)).ToList();
        // Written by two ranks in rows, read by three in columns.
        foreach (var (fqn, tensor) in ours)
            foreach (var part in Split(ShardLayout.Whole(tensor.shape), 0, 2))
                foreach (var piece in format.Tensors.PiecesOf(fqn, part))
                    new ShardLayout(theirs[piece.Foreign].shape, piece.Offset, piece.Shape).Of(theirs[piece.Foreign]).copy_(piece.TakeFrom(part.Of(tensor)));
        Assert.All(theirs, t => Assert.False(t.Value.isnan().any().item<bool>(), t.Key));
        foreach (var (fqn, tensor) in ours)
            foreach (var part in Split(ShardLayout.Whole(tensor.shape), (int)tensor.dim() - 1, 3))
            {
                using var loaded = full([.. part.Shape], double.NaN);
                foreach (var piece in format.Tensors.PiecesOf(fqn, part))
                    piece.CopyInto(loaded, new ShardLayout(theirs[piece.Foreign].shape, piece.Offset, piece.Shape).Of(theirs[piece.Foreign]));
                Assert.True(loaded.eq(part.Of(tensor)).all().item<bool>(), $"{fqn} {part}");
            }
    }

    /// <summary>What a checkpoint of the model holds.</summary>
    private static Dictionary<string, Tensor> Ours(string name)
    {
        using var model = GoldenModels.All[name].Build(new ModelContext(32, META, ScalarType.Float32));
        var golden = Golden.Of(name);
        return ModelParameters.Of(model).Select(p => p.Fqn).Concat(ModelParameters.Buffers(model).Where(b => b.Slot.IsPersistent).Select(b => b.Fqn)).ToDictionary(f => f, f => golden[$"weight.{f}"]);
    }

    private static IEnumerable<ShardLayout> Split(ShardLayout whole, int dimension, int parts)
    {
        var each = (whole.Shape[dimension] + parts - 1) / parts;
        for (var at = 0L; at < whole.Shape[dimension]; at += each) yield return whole.Narrow(dimension, at, Math.Min(each, whole.Shape[dimension] - at));
    }
}
