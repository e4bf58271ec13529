using Titan.Abstractions;
using Titan.Quantization.Linear;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests.Linear;

/// <summary>The feed-forward layer of Llama 3 8B (dimension 4096, hidden 14336) in each recipe against bf16: errors of three layers one after the other stay within torchao's bound.</summary>
public class FeedForwardTests
{
    private const int Dimension = 4096, Hidden = 14336;

    /// <summary>
    /// torchao's test has 8192 tokens, which is 128 times the work: with <c>TITAN_FULL_CATALOGUE=1</c>. Fewer are as strict: the precision of a token does not depend on the
    /// others, that of a weight's gradient is better with more.
    /// </summary>
    private static readonly int Tokens = Environment.GetEnvironmentVariable("TITAN_FULL_CATALOGUE") == "1" ? 8192 : 64;

    [Fact]
    public void Output_and_weight_gradients_keep_20_dB_in_every_recipe()
    {
        using var scope = NewDisposeScope();
        manual_seed(51);
        Tensor x = randn(1, Tokens, Dimension).to(ScalarType.BFloat16), g = randn(1, Tokens, Dimension).to(ScalarType.BFloat16);
        Tensor[] weights = [.. new[] { (Hidden, Dimension), (Dimension, Hidden), (Hidden, Dimension) }.Select(s => randn(s.Item1, s.Item2) / Math.Sqrt(s.Item2))];
        var reference = Run(w => Numbers.Layer(w));
        foreach (var (name, recipe) in Numbers.All)
        {
            using var inner = NewDisposeScope();
            var engine = Numbers.Engine(recipe);
            foreach (var (expected, actual) in reference.Zip(Run(w => new QuantizedLinear(Numbers.Layer(w), engine))))
            {
                var sqnr = Numbers.Sqnr(expected, actual);
                Assert.True(sqnr > 20, $"{name}: {sqnr:f1} dB");
            }
        }

        Tensor[] Run(Func<Tensor, nn.Module<Tensor, Tensor>> make)
        {
            using var run = NewDisposeScope();
            var layers = weights.Select(make).ToArray();
            var y = layers[1].call(nn.functional.silu(layers[0].call(x)) * layers[2].call(x));
            y.backward([g]);
            BackwardFailure.ThrowIfAny();
            return [.. layers.Select(l => ((ILinear)l).Weight.Parameter.grad!.MoveToOuterDisposeScope()).Prepend(y.detach().MoveToOuterDisposeScope())];
        }
    }
}
