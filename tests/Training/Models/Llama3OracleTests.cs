using Titan.Kernels.Activations;
using Titan.Models;
using TorchSharp;
using Titan.Abstractions;
using Titan.Models.Llama3;
using static TorchSharp.torch;

namespace Titan.Training.Tests.Models;

/// <summary>
/// The model against its definition, written again from the papers and upstream's form (rotation as a product of complex numbers, attention as an explicit softmax, heads of
/// grouped queries repeated), in double precision on the same weights.
/// </summary>
public sealed class Llama3OracleTests
{
    private static readonly Llama3Args Args = new(64, 2, 8, 2, 96, MultipleOf: 32);

    [Theory]
    [InlineData(false), InlineData(true)]
    public void Logits_and_gradients_are_those_of_the_definition(bool fused)
    {
        using var scope = NewDisposeScope();
        using var model = Args.Build(new ModelContext(16, CPU, ScalarType.Float32));
        model.InitializeWeights(3);
        if (fused) model.UseKernels(ModelKernels.For(fused: true, cuda: false));
        manual_seed(4);
        var tokens = randint(0, Args.Vocabulary, [2, 12], ScalarType.Int64);
        var g = randn(2, 12, Args.Vocabulary);
        var logits = model.call(tokens);
        logits.backward([g]);
        Titan.Abstractions.BackwardFailure.ThrowIfAny();

        var weights = model.named_parameters().ToDictionary(p => p.name, p => p.parameter.detach().to(ScalarType.Float64).requires_grad_());
        var expected = Definition(tokens, weights);
        expected.backward([g.to(ScalarType.Float64)]);
        Close(expected, logits);
        foreach (var (name, parameter) in model.named_parameters()) Close(weights[name].grad!, parameter.grad!);
    }

    [Fact]
    public void Rotation_is_upstreams_product_of_complex_numbers()
    {
        using var scope = NewDisposeScope();
        manual_seed(5);
        var x = randn(2, 40, 3, 16);
        using var angles = Args.Rotary.Angles(64, 16, CPU);
        Close(Rotate(x.to(ScalarType.Float64), 16), PlainModelKernels.Rotate(x, angles));
    }

    [Fact]
    public void Frequencies_are_scaled_as_in_Llama_3_1()
    {
        // Short wavelengths stay, long ones are divided by 8, those between are blended.
        var scaled = Args.Rotary.Frequencies(128, 16);
        for (var i = 0; i < 64; i++)
        {
            double plain = Math.Pow(500000, -i / 64.0), wavelength = 2 * Math.PI / plain, share = (8192 / wavelength - 1) / 3;
            var expected = wavelength < 8192 / 4.0 ? plain : wavelength > 8192 ? plain / 8 : (1 - share) * plain / 8 + share * plain;
            Assert.Equal(expected, scaled[i], expected * 1e-6);
        }
    }

    private static Tensor Definition(Tensor tokens, Dictionary<string, Tensor> w)
    {
        long length = tokens.shape[1], d = Args.HeadDimension;
        var x = w["tok_embeddings.weight"].index_select(0, tokens.reshape(-1)).reshape(2, length, Args.Dimension);
        var hidden = full([length, length], double.NegativeInfinity, dtype: ScalarType.Float64).triu(1);
        for (var i = 0; i < Args.Layers; i++)
        {
            Tensor W(string name) => w[$"layers.{i}.{name}.weight"];
            var h = Norm(x, W("attention_norm"));
            var q = Rotate(h.matmul(W("attention.wq").t()).reshape(2, length, Args.Heads, d), d).transpose(1, 2);
            var k = Rotate(h.matmul(W("attention.wk").t()).reshape(2, length, Args.KvHeads, d), d).transpose(1, 2).repeat_interleave(Args.Heads / Args.KvHeads, 1);
            var v = h.matmul(W("attention.wv").t()).reshape(2, length, Args.KvHeads, d).transpose(1, 2).repeat_interleave(Args.Heads / Args.KvHeads, 1);
            var probabilities = nn.functional.softmax(q.matmul(k.transpose(2, 3)) / Math.Sqrt(d) + hidden, -1);
            x = x + probabilities.matmul(v).transpose(1, 2).reshape(2, length, Args.Dimension).matmul(W("attention.wo").t());
            h = Norm(x, W("ffn_norm"));
            var gate = h.matmul(W("feed_forward.w1").t());
            x = x + (gate * gate.sigmoid() * h.matmul(W("feed_forward.w3").t())).matmul(W("feed_forward.w2").t());
        }

        return Norm(x, w["norm.weight"]).matmul(w["output.weight"].t());
    }

    private static Tensor Norm(Tensor x, Tensor weight) => x / (x.square().mean([-1], keepdim: true) + Args.NormEpsilon).sqrt() * weight;

    private static Tensor Rotate(Tensor x, long width)
    {
        var angles = outer(arange(x.shape[1], dtype: ScalarType.Float64), tensor(Args.Rotary.Frequencies((int)width, 16)).to(ScalarType.Float64));
        var turns = polar(ones_like(angles), angles).reshape(1, x.shape[1], 1, width / 2);
        return (x.reshape(x.shape[0], x.shape[1], x.shape[2], width / 2, 2).contiguous().view_as_complex() * turns).view_as_real().reshape(x.shape);
    }

    private static void Close(Tensor expected, Tensor actual)
    {
        Assert.Equal(expected.shape, actual.shape);
        var error = (expected - actual.to(ScalarType.Float64)).abs().max().item<double>();
        Assert.True(error <= 2e-5 * Math.Max(1, expected.abs().max().item<double>()), $"off by {error:g3}");
    }
}
