using Titan.Abstractions;
using Titan.Quantization.Linear;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests.Linear;

/// <summary>The feed-forward layer of Llama 3 8B in each recipe against bf16: errors of three layers one after the other stay within torchao's bound.</summary>
public class FeedForwardTests
{
    /// <summary>
    /// torchao's test has dimension 4096, hidden dimension 14336 and 8192 tokens: with <c>TITAN_FULL_CATALOGUE=1</c>, 2048 times the work. Fewer are as strict: errors of independent products add up as the products
    /// do, so the precision of a sum does not depend on its length, nor that of a token on the others; that of a weight's gradient is better with more tokens.
    /// </summary>
    private static readonly (int Dimension, int Hidden, int Tokens) Size = Environment.GetEnvironmentVariable("TITAN_FULL_CATALOGUE") == "1" ? (4096, 14336, 8192) : (1024, 3584, 64);

    public static TheoryData<string> Recipes => [.. Numbers.All.Keys];

    [Theory]
    [MemberData(nameof(Recipes))]
    public void Output_and_weight_gradients_keep_20_dB_in_every_recipe(string name)
    {
        using var scope = NewDisposeScope();
        manual_seed(51);
        Tensor x = randn(1, Size.Tokens, Size.Dimension).to(ScalarType.BFloat16), g = randn(1, Size.Tokens, Size.Dimension).to(ScalarType.BFloat16);
        Tensor[] weights = [.. new[] { (Size.Hidden, Size.Dimension), (Size.Dimension, Size.Hidden), (Size.Hidden, Size.Dimension) }.Select(s => randn(s.Item1, s.Item2) / Math.Sqrt(s.Item2))];
        var engine = Numbers.Engine(Numbers.All[name]);
        foreach (var (expected, actual) in Run(w => Numbers.Layer(w)).Zip(Run(w => new QuantizedLinear(Numbers.Layer(w), engine))))
        {
            var sqnr = Numbers.Sqnr(expected, actual);
            Assert.True(sqnr > 20, $"{name}: {sqnr:f1} dB");
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
