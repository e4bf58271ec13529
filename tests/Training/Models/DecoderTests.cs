using Titan.Abstractions;
using Titan.Kernels.Activations;
using Titan.Models;
using Titan.Models.Llama3;
using TorchSharp;
using static TorchSharp.torch;

namespace Titan.Training.Tests.Models;

/// <summary>The decoder of blocks against what upstream's own models computed, and its options against each other.</summary>
public sealed class DecoderTests
{
    private static readonly Llama3Args Llama = new(32, 2, 4, 2, 64, MultipleOf: 32);

    [Theory]
    [InlineData("llama3", false), InlineData("llama3", true)]
    [InlineData("qwen3", false), InlineData("qwen3", true)]
    public void Logits_loss_and_gradients_are_those_of_upstream(string name, bool fused)
    {
        using var scope = NewDisposeScope();
        var golden = HuggingFaceTests.Golden(name);
        // Qwen 3: norms on queries and keys, heads wider than dimension / heads, a rotary embedding of halves, a head that is the embedding.
        using var model = (name == "llama3" ? Llama.Decoder : Qwen3()) is { } args ? new Decoder(name, args, new ModelContext(32, CPU, ScalarType.Float32)) : null!;
        foreach (var (fqn, parameter, _, _) in ModelParameters.Of(model)) using (no_grad()) parameter.copy_(golden[$"weight.{fqn}"]);
        Assert.Equal(model.Counts.Parameters, ModelParameters.Of(model).Sum(p => p.Parameter.numel()));
        model.UseKernels(ModelKernels.For(fused, cuda: false));
        var logits = model.call(golden["tokens"]);
        Close(golden["logits"], logits, 1e-5);
        var loss = nn.functional.cross_entropy(logits.reshape(-1, 64), golden["labels"].reshape(-1), ignore_index: -100);
        Close(golden["loss"], loss, 3e-6);
        loss.backward();
        BackwardFailure.ThrowIfAny();
        foreach (var (fqn, parameter, _, _) in ModelParameters.Of(model)) Close(golden[$"grad.{fqn}"], parameter.grad!, 1e-5);
    }

    [Theory]
    [InlineData(BlockCheckpointing.None), InlineData(BlockCheckpointing.FeedForward), InlineData(BlockCheckpointing.Full)]
    public void Documents_in_one_sequence_are_as_apart_also_where_blocks_are_computed_again(BlockCheckpointing mode)
    {
        using var scope = NewDisposeScope();
        using var model = (Llama with { DocumentMask = true }).Build(new ModelContext(16, CPU, ScalarType.Float32));
        Lively(model);
        for (var i = 0; i < model.Blocks.Count; i++) model.SetCheckpointing(i, mode);
        var tokens = randint(0, 64, [1, 12], dtype: ScalarType.Int64);
        var documents = tensor(new long[] { 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1 }).unsqueeze(0);
        // Each document counts its positions from its own beginning, as it would alone.
        var positions = cat([arange(5), arange(7)]).to(ScalarType.Int64);
        var together = model.call(new ModelInput(tokens, positions, documents));
        var one = zeros([1, 5], dtype: ScalarType.Int64);
        var apart = cat([model.call(new ModelInput(tokens.narrow(1, 0, 5), Documents: one)), model.call(new ModelInput(tokens.narrow(1, 5, 7), Documents: zeros([1, 7], dtype: ScalarType.Int64)))], 1);
        Close(apart, together, 1e-5);
        together.square().sum().backward();
        BackwardFailure.ThrowIfAny();
        var gradient = model.named_parameters().First(p => p.name.EndsWith("wq.weight", StringComparison.Ordinal)).parameter.grad!.clone();
        foreach (var (_, parameter) in model.named_parameters()) parameter.grad = null;
        apart.square().sum().backward();
        BackwardFailure.ThrowIfAny();
        Close(model.named_parameters().First(p => p.name.EndsWith("wq.weight", StringComparison.Ordinal)).parameter.grad!, gradient, 1e-4);
    }

    [Theory]
    [InlineData(false), InlineData(true)]
    public void Positions_that_are_given_are_those_of_the_tokens_and_may_differ_between_sequences(bool fused)
    {
        using var scope = NewDisposeScope();
        using var model = Llama.Build(new ModelContext(32, CPU, ScalarType.Float32));
        Lively(model);
        model.UseKernels(ModelKernels.For(fused, cuda: false));
        var tokens = randint(0, 64, [2, 12], dtype: ScalarType.Int64);
        var expected = model.call(tokens);
        Close(expected, model.call(new ModelInput(tokens, arange(12, dtype: ScalarType.Int64))), 1e-6);
        // Attention sees differences of positions alone.
        Close(expected, model.call(new ModelInput(tokens, arange(12, dtype: ScalarType.Int64) + 7)), 1e-4);
        Close(expected, model.call(new ModelInput(tokens, stack([arange(12, dtype: ScalarType.Int64), arange(12, dtype: ScalarType.Int64) + 20]))), 1e-4);
        Assert.False(expected.allclose(model.call(new ModelInput(tokens, arange(12, dtype: ScalarType.Int64) * 2)), 1e-3, 1e-3));
    }

    [Fact]
    public void A_window_hides_what_lies_further_back()
    {
        using var scope = NewDisposeScope();
        var norm = new NormArgs.Rms(1e-5);
        var args = Llama.Decoder with { Layers = 1, Block = _ => new BlockArgs(norm, new AttentionArgs(4, 2, 8) { Window = 3 }, new SwiGluArgs(32)) };
        using var model = new Decoder("windowed", args, new ModelContext(16, CPU, ScalarType.Float32));
        Lively(model);
        var tokens = randint(0, 64, [1, 10], dtype: ScalarType.Int64);
        var changed = tokens.clone();
        changed[0, 4] = (tokens[0, 4] + 1) % 64;
        var differs = (model.call(tokens) - model.call(changed)).abs().amax([0, 2]).gt(1e-6).data<bool>().ToArray();
        Assert.Equal(Enumerable.Range(0, 10).Select(i => i is >= 4 and < 7), differs);
    }

    /// <summary>Weights that make attention look somewhere: at the start of training it looks everywhere alike.</summary>
    private static void Lively(Decoder model)
    {
        using var none = no_grad();
        model.InitializeWeights(3);
        foreach (var (name, parameter) in model.named_parameters())
            if (name.Contains("attention.w", StringComparison.Ordinal)) parameter.mul_(20);
    }

    private static DecoderArgs Qwen3()
    {
        var norm = new NormArgs.Rms(1e-6);
        var block = new BlockArgs(norm, new AttentionArgs(4, 2, 16) { QueryKeyNorm = norm }, new SwiGluArgs(96));
        return new DecoderArgs(32, 2, 64, norm, _ => block, _ => Initializer.Zeros) { Rotary = new RotaryArgs(1_000_000, RotaryLayout.Halves), TiedEmbeddings = true };
    }

    private static void Close(Tensor expected, Tensor actual, double tolerance)
    {
        Assert.Equal(expected.shape, actual.shape);
        Tensor a = expected.to(ScalarType.Float64), b = actual.to(ScalarType.Float64);
        var error = (a - b).abs().max().item<double>() / a.abs().max().item<double>();
        Assert.True(error <= tolerance, $"off by {error:g3} of the largest");
    }
}
