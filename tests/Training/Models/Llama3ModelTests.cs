using Titan.Abstractions;
using Titan.Models;
using TorchSharp;
using Titan.Training.Models;
using Titan.Models.Llama3;
using static TorchSharp.torch;

namespace Titan.Training.Tests.Models;

public sealed class Llama3ModelTests
{
    private static readonly Llama3Args Tiny = new(32, 2, 4, 2, 64, MultipleOf: 16);

    [Fact]
    public void Gradients_equal_finite_differences()
    {
        using var scope = NewDisposeScope();
        using var model = Tiny.Build(new ModelContext(16, CPU, ScalarType.Float64));
        model.SetComputeType(ScalarType.Float64);
        model.InitializeWeights(3);
        var tokens = randint(0, 64, [2, 9], dtype: ScalarType.Int64);
        var labels = randint(0, 64, [18], dtype: ScalarType.Int64);
        Tensor Loss() => nn.functional.cross_entropy(model.call(tokens).reshape(-1, 64), labels);
        Loss().backward();
        foreach (var (name, parameter) in model.named_parameters())
        {
            var index = parameter.grad!.abs().flatten().argmax().item<long>();
            var analytic = parameter.grad.flatten()[index].item<double>();
            using var none = no_grad();
            const double h = 1e-3;
            var flat = parameter.view(-1);
            flat[index] += h;
            var up = Loss().item<double>();
            flat[index] -= 2 * h;
            var down = Loss().item<double>();
            flat[index] += h;
            // RMSNorm and RoPE compute in fp32 whatever the parameters are, which bounds what a difference can show.
            Assert.True(Math.Abs((up - down) / (2 * h) - analytic) < 0.02 * Math.Abs(analytic) + 2e-4, $"{name}: {(up - down) / (2 * h)} against {analytic}");
        }
    }

    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.BFloat16)]
    public void One_batch_is_learned_by_heart(ScalarType compute)
    {
        using var scope = NewDisposeScope();
        using var model = new Llama3Args(64, 2, 4, 2, 64, MultipleOf: 16).Build(new ModelContext(16, CPU, ScalarType.Float32));
        model.SetComputeType(compute);
        model.InitializeWeights(3);
        var named = model.named_parameters().ToList();
        var adam = new Titan.Training.Optimization.FusedAdam(named, 0.9, 0.95, 1e-8, 0.1, decoupled: true);
        var tokens = randperm(64, dtype: ScalarType.Int64).reshape(4, 16);
        var labels = tokens.roll(1, 0).reshape(-1);
        float last = 0;
        for (var i = 0; i < 60; i++)
        {
            using var inner = NewDisposeScope();
            Titan.Training.Optimization.Gradients.Clear(ModelParameters.Of(model));
            var loss = nn.functional.cross_entropy(model.call(tokens).reshape(-1, 64).to(ScalarType.Float32), labels);
            loss.backward();
            adam.Step(1e-2);
            last = loss.item<float>();
        }

        Assert.True(last < 0.1, $"the loss is {last}");
    }

    [Fact]
    public void Weights_have_upstreams_distributions_and_depend_on_the_seed_alone()
    {
        using var scope = NewDisposeScope();
        using var model = new Llama3Args(256, 2, 4, 2, 512, MultipleOf: 64).Build(new ModelContext(16, CPU, ScalarType.Float32));
        model.InitializeWeights(5);
        var weights = model.named_parameters().ToDictionary(p => p.name, p => p.parameter);
        Deviation("tok_embeddings.weight", 1);
        Deviation("layers.1.attention.wq.weight", 0.02);
        Deviation("layers.0.attention.wo.weight", 0.02 / Math.Sqrt(2));
        Deviation("layers.1.feed_forward.w3.weight", 0.02 / 2);
        Deviation("output.weight", 0.9866 / 16);        // cut at three deviations
        Assert.True(weights["output.weight"].abs().max().item<float>() <= 3.0 / 16);
        Assert.True(weights["norm.weight"].eq(1).all().item<bool>());

        var before = weights["output.weight"].clone();
        randn(100);
        model.InitializeWeights(5);
        Assert.True(before.eq(weights["output.weight"]).all().item<bool>());
        model.InitializeWeights(6);
        Assert.False(before.eq(weights["output.weight"]).all().item<bool>());

        void Deviation(string name, double expected) => Assert.InRange(weights[name].std().item<float>(), 0.97 * expected, 1.03 * expected);
    }
}
