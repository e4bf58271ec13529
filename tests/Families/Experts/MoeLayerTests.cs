using Titan.Abstractions;
using Titan.Distributed;
using Titan.Kernels.Activations;
using Titan.Models;
using static TorchSharp.torch;

namespace Titan.Families.Tests.Experts;

/// <summary>The mixture against upstream's, forward and backward, and where it is strained.</summary>
public sealed class MoeLayerTests
{
    private static readonly Dictionary<string, MoeArgs> Cases = new()
    {
        ["before"] = new(new RouterArgs(4, 1), new SwiGluExpertArgs(24)) { Shared = new SwiGluArgs(24) },
        ["after"] = new(new RouterArgs(8, 3) { Score = RouterScore.Softmax }, new SwiGluExpertArgs(24)) { Shared = new SwiGluArgs(48), ScoreBeforeExperts = false },
        ["norm"] = new(new RouterArgs(8, 2) { Norm = true, Scale = 2.5 }, new SwiGluExpertArgs(24)) { ScoreBeforeExperts = false },
    };

    [Theory]
    [InlineData("before", false, 1), InlineData("before", true, 1), InlineData("before", false, 16)]
    [InlineData("after", false, 1), InlineData("after", true, 1), InlineData("after", true, 8)]
    [InlineData("norm", false, 1), InlineData("norm", true, 1), InlineData("norm", false, 32)]
    public void Output_and_gradients_in_fp32_are_those_of_upstream(string name, bool fused, int multiple)
    {
        using var scope = NewDisposeScope();
        var (golden, layer) = Made(name, ScalarType.Float32, fused);
        if (multiple > 1) layer.Experts.Matmul = new InMultiples(layer.Experts.Matmul, multiple);
        var x = golden["x"].requires_grad_();
        var y = Run(layer, x, out _);
        Golden.Close(golden["fp32.loop.output"], y, 1e-6, "output");
        Assert.Equal(golden["fp32.loop.tokens_per_expert"].data<float>().ToArray(), layer.Load.Counts.data<float>().ToArray());
        y.backward([golden["grad_output"]]);
        BackwardFailure.ThrowIfAny();
        Golden.Close(golden["fp32.loop.grad_x"], x.grad!, 2e-6, "x");
        foreach (var (fqn, parameter) in layer.named_parameters()) Golden.Close(golden[$"fp32.loop.grad.{fqn}"], parameter.grad!, 2e-6, fqn);
    }

    [Theory]
    [InlineData("before", false), InlineData("before", true), InlineData("after", false), InlineData("after", true), InlineData("norm", false), InlineData("norm", true)]
    public void Output_and_gradients_in_bf16_are_as_near_as_bf16_is(string name, bool fused)
    {
        using var scope = NewDisposeScope();
        var (golden, layer) = Made(name, ScalarType.BFloat16, fused);
        var x = golden["x"].to(ScalarType.BFloat16).requires_grad_();
        var y = Run(layer, x, out _);
        Near(golden["bf16.loop.output"], golden["fp32.loop.output"], y, "output");
        y.backward([golden["grad_output"].to(ScalarType.BFloat16)]);
        BackwardFailure.ThrowIfAny();
        Near(golden["bf16.loop.grad_x"], golden["fp32.loop.grad_x"], x.grad!, "x");
        foreach (var (fqn, parameter) in layer.named_parameters()) Near(golden[$"bf16.loop.grad.{fqn}"], golden[$"fp32.loop.grad.{fqn}"], parameter.grad!, fqn);

        // About as far from fp32 as upstream's bf16 is, which computes the gate in bf16 too.
        static void Near(Tensor theirs, Tensor exact, Tensor ours, string what)
        {
            double own = Golden.Decibels(exact, ours), upstream = Golden.Decibels(exact, theirs);
            Assert.True(own >= Math.Min(40, upstream - 1), $"{what}: {own:f1} dB from fp32, upstream's {upstream:f1}");
        }
    }

    [Theory]
    [InlineData("even"), InlineData("odd"), InlineData("one")]
    public void Experts_with_and_without_rows_are_those_of_upstream(string name)
    {
        using var scope = NewDisposeScope();
        var golden = Golden.Of("experts").Where(t => t.Key.StartsWith(name + ".", StringComparison.Ordinal)).ToDictionary(t => t.Key[(name.Length + 1)..], t => t.Value);
        foreach (var fused in new[] { false, true })
        {
            using var bank = new SwiGluExpertArgs(24).Create(4, 16, new ModelContext(8, CPU, ScalarType.Float32));
            bank.Kernels = ModelKernels.For(fused, cuda: false);
            foreach (var (fqn, parameter) in bank.named_parameters()) using (no_grad()) parameter.copy_(golden[fqn]);
            var x = golden["x"].detach().requires_grad_();
            var sent = PaddedRows.Instance.Dispatch(x, golden["counts"], 1);
            var y = bank.Forward(sent.Rows, sent.Groups);
            Golden.Close(golden["loop32.output"], y, 1e-6, "output");
            y.backward([golden["grad_output"]]);
            BackwardFailure.ThrowIfAny();
            Golden.Close(golden["loop32.grad_x"], x.grad!, 1e-6, "x");
            // An expert that nobody chose has gradient 0, not none.
            foreach (var (fqn, parameter) in bank.named_parameters()) Golden.Close(golden[$"loop32.grad_{fqn}"], parameter.grad!, 1e-6, fqn);
        }
    }

    [Fact]
    public void All_tokens_on_one_expert_are_as_that_expert_alone()
    {
        using var scope = NewDisposeScope();
        var (golden, layer) = Made("norm", ScalarType.Float32, false);
        using (no_grad()) layer.Load.Bias!.copy_(tensor(new float[] { 0, 0, 0, 100, 0, 0, 50, 0 }));
        var x = golden["x"].requires_grad_();
        var y = Run(layer, x, out _);
        Assert.Equal([0f, 0, 0, 24, 0, 0, 24, 0], layer.Load.Counts.data<float>().ToArray());
        var flat = x.reshape(-1, 16);
        var scores = flat.matmul(Named("router.gate.weight").t()).sigmoid();
        var sum = scores.narrow(1, 3, 1) + scores.narrow(1, 6, 1);
        var expected = 2.5 * (Expert(3) * scores.narrow(1, 3, 1) / sum + Expert(6) * scores.narrow(1, 6, 1) / sum);
        Golden.Close(expected, y.reshape(-1, 16), 1e-6, "output");
        y.sum().backward();
        BackwardFailure.ThrowIfAny();
        Assert.Equal([3L, 6], Named("experts.w1").grad!.abs().amax([1, 2]).gt(0).nonzero().reshape(-1).data<long>().ToArray());

        Tensor Expert(int e) => (nn.functional.silu(flat.matmul(Named("experts.w1")[e].t())) * flat.matmul(Named("experts.w3")[e].t())).matmul(Named("experts.w2")[e].t());

        TorchSharp.Modules.Parameter Named(string fqn) => layer.named_parameters().Single(p => p.name == fqn).parameter;
    }

    [Fact]
    public void What_is_computed_again_takes_the_experts_of_the_first_time_and_counts_once()
    {
        using var scope = NewDisposeScope();
        var (golden, layer) = Made("after", ScalarType.Float32, false);
        var x = golden["x"].requires_grad_();
        var context = new BlockContext(null, new AttentionMasks(12, CPU, null), new ExpertChoices(trains: true));
        var y = Recompute.Apply(inputs => [layer.Forward(new Activation(inputs[0]), context).Values], x)[0];
        var counts = layer.Load.Counts.data<float>().ToArray();
        // Were the choice made again, it would be another one now.
        using (no_grad()) layer.Load.Bias!.copy_(arange(8, dtype: ScalarType.Float32));
        y.backward([golden["grad_output"]]);
        BackwardFailure.ThrowIfAny();
        Golden.Close(golden["fp32.loop.grad_x"], x.grad!, 2e-6, "x");
        Assert.Equal(counts, layer.Load.Counts.data<float>().ToArray());
        Assert.Equal(72, counts.Sum());
    }

    [Fact]
    public void A_layer_in_a_model_of_another_kind_balances_itself()
    {
        using var scope = NewDisposeScope();
        var (golden, layer) = Made("after", ScalarType.Float32, false);
        var before = layer.Load.Bias!.data<float>().ToArray();
        Run(layer, golden["x"], out _);
        layer.BeforeOptimizerStep(new StepContext(1, new SingleRankGroup("loss")));
        Assert.NotEqual(before, layer.Load.Bias!.data<float>().ToArray());
        Assert.Equal(0, layer.Load.Counts.sum().item<float>());
        Assert.Single(layer.Plan(new SingleRankGroup("loss")));
    }

    [Fact]
    public void A_forward_without_gradients_counts_nothing()
    {
        using var scope = NewDisposeScope();
        var (golden, layer) = Made("before", ScalarType.Float32, false);
        using (no_grad()) layer.Forward(new Activation(golden["x"]), new BlockContext(null, new AttentionMasks(12, CPU, null), new ExpertChoices(trains: false)));
        Assert.Equal(0, layer.Load.Counts.sum().item<float>());
    }

    private static Tensor Run(MixtureOfExperts layer, Tensor x, out BlockContext context)
    {
        context = new BlockContext(null, new AttentionMasks(x.shape[1], CPU, null), new ExpertChoices(trains: true));
        return layer.Forward(new Activation(x), context).Values;
    }

    private static (Dictionary<string, Tensor> Golden, MixtureOfExperts Layer) Made(string name, ScalarType type, bool fused)
    {
        var golden = Golden.Of("moe_layer").Where(t => t.Key.StartsWith(name + ".", StringComparison.Ordinal)).ToDictionary(t => t.Key[(name.Length + 1)..], t => t.Value);
        var layer = (MixtureOfExperts)Cases[name].Create(16, new ModelContext(16, CPU, type));
        foreach (var (fqn, parameter) in layer.named_parameters()) using (no_grad()) parameter.copy_(golden[$"weight.{fqn}"]);
        using (no_grad()) layer.Load.Bias!.copy_(golden["weight.expert_bias"]);
        foreach (var user in layer.named_modules().Select(m => m.module).OfType<IKernelUser>()) user.Kernels = ModelKernels.For(fused, cuda: false);
        return (golden, layer);
    }

    /// <summary>Products that want their groups at multiples, as quantised ones do.</summary>
    private sealed class InMultiples(IGroupedMatmul inner, int multiple) : IGroupedMatmul
    {
        public string Name => inner.Name;

        public int RowMultiple => multiple;

        public Tensor Multiply(Activation rows, RowGroups groups, IWeightSource weight)
        {
            Assert.All(groups.HostEnds, e => Assert.Equal(0, e % multiple));
            return inner.Multiply(rows, groups, weight);
        }
    }
}
