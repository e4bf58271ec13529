using Titan.Abstractions;
using Titan.Models;
using static TorchSharp.torch;

namespace Titan.Families.Tests;

/// <summary>Where queries look, against upstream's masks; and attention of its own kinds against a softmax that is written out.</summary>
public sealed class MaskTests
{
    [Fact]
    public void They_are_upstreams()
    {
        using var scope = NewDisposeScope();
        var golden = Golden.Of("masks");
        var ended = golden["tokens"].eq(0).to(ScalarType.Int64);
        using var documents = new AttentionMasks(16, CPU, ended.cumsum(1) - ended);
        using var one = new AttentionMasks(16, CPU, null);
        Same("block_causal", documents.Of(true, null)!);
        Same("document", documents.Of(false, null)!);
        Same("rope_block_causal", documents.Of(true, null, 8)!);
        Same("sliding_window_4", one.Of(true, 4)!);
        Assert.Null(one.Of(true, null));
        // A window or a block as long as the sequence says nothing.
        Assert.Null(one.Of(true, 16));
        Assert.Null(one.Of(true, null, 16));

        void Same(string name, Tensor mask) => Assert.True(mask.squeeze(1).eq(golden[name]).all().item<bool>(), name);
    }

    [Theory]
    [InlineData(null), InlineData(3L)]
    public void Sinks_take_their_part_of_the_softmax(long? window)
    {
        using var scope = NewDisposeScope();
        var args = new AttentionArgs(4, 2, 8) { Sinks = true, Bias = true, Window = window };
        using var layer = args.Create(32, new ModelContext(16, CPU, ScalarType.Float32));
        using (no_grad()) foreach (var (_, parameter) in layer.named_parameters()) parameter.copy_(randn(parameter.shape) * 0.5);
        var x = randn(2, 12, 32);
        using var masks = new AttentionMasks(12, CPU, null);
        var actual = layer.Forward(new Activation(x), new BlockContext(null, masks, new ExpertChoices(trains: true))).Values;

        Tensor q = Heads("wq", 4), k = Heads("wk", 2).repeat_interleave(2, 1), v = Heads("wv", 2).repeat_interleave(2, 1);
        var logits = q.matmul(k.transpose(2, 3)) / Math.Sqrt(8);
        var mask = ones(12, 12, dtype: ScalarType.Bool).tril();
        if (window is { } w) mask = mask.triu(1 - w);
        logits = logits.masked_fill(mask.logical_not(), double.NegativeInfinity);
        var weights = cat([logits, Named("sinks").view(1, 4, 1, 1).expand(2, 4, 12, 1)], -1).softmax(-1).narrow(-1, 0, 12);
        var expected = nn.functional.linear(weights.matmul(v).transpose(1, 2).reshape(2, 12, 32), Named("wo.weight"), Named("wo.bias"));
        Golden.Close(expected, actual, 1e-5, "output");
        var (theirs, ours) = (Gradients(expected), Gradients(actual));
        foreach (var (fqn, gradient) in theirs) Golden.Close(gradient, ours[fqn], 1e-4, fqn);

        Tensor Heads(string name, int heads) => nn.functional.linear(x, Named($"{name}.weight"), Named($"{name}.bias")).view(2, 12, heads, 8).transpose(1, 2);

        TorchSharp.Modules.Parameter Named(string fqn) => layer.named_parameters().Single(p => p.name == fqn).parameter;

        Dictionary<string, Tensor> Gradients(Tensor y)
        {
            foreach (var (_, parameter) in layer.named_parameters()) parameter.grad = null;
            y.square().sum().backward();
            BackwardFailure.ThrowIfAny();
            return layer.named_parameters().ToDictionary(p => p.name, p => p.parameter.grad!.clone());
        }
    }
}
