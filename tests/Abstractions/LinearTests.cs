using TorchSharp;
using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Abstractions.Tests;

public sealed class LinearTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Output_and_gradients_equal_those_of_ATen(bool hasBias)
    {
        using var scope = NewDisposeScope();
        manual_seed(1);
        var layer = new Linear(24, 40, hasBias);
        using (no_grad()) foreach (var (_, p) in layer.named_parameters()) p.normal_();
        var x = randn(2, 7, 24).requires_grad_(true);
        var g = randn(2, 7, 40);

        var y = layer.call(x);
        y.backward([g]);

        var w2 = layer.Weight.Parameter.detach().clone().requires_grad_(true);
        var x2 = x.detach().clone().requires_grad_(true);
        var b2 = layer.Bias?.Parameter.detach().clone().requires_grad_(true);
        var expected = nn.functional.linear(x2, w2, b2!);
        expected.backward([g]);

        Assert.True(y.allclose(expected, 1e-5, 1e-5));
        Assert.True(x.grad!.allclose(x2.grad!, 1e-5, 1e-5));
        Assert.True(layer.Weight.Parameter.grad!.allclose(w2.grad!, 1e-4, 1e-4));
        if (hasBias) Assert.True(layer.Bias!.Parameter.grad!.allclose(b2!.grad!, 1e-5, 1e-5));
    }

    [Fact]
    public void A_bf16_input_gives_fp32_master_weights_an_fp32_gradient()
    {
        using var scope = NewDisposeScope();
        var layer = new Linear(16, 16);
        using (no_grad()) layer.Weight.Parameter.normal_();
        var y = layer.call(randn(4, 16).to(ScalarType.BFloat16).requires_grad_(true));
        Assert.Equal(ScalarType.BFloat16, y.dtype);
        y.sum().backward();
        Assert.Equal(ScalarType.Float32, layer.Weight.Parameter.grad!.dtype);
    }

    [Theory]
    [InlineData(false, 1)]
    [InlineData(true, 2)]
    public void A_weight_that_stays_is_cast_once_for_forward_and_backward_and_one_that_is_gathered_twice(bool gathered, int times)
    {
        using var scope = NewDisposeScope();
        manual_seed(4);
        var layer = new Linear(16, 8);
        using (no_grad()) layer.Weight.Parameter.normal_();
        var whole = layer.Weight.Parameter;
        var source = new CountingSource(whole, gathered);
        layer.Weight = source;
        var x = randn(4, 16).to(ScalarType.BFloat16).requires_grad_(true);
        layer.call(x).sum().backward();
        BackwardFailure.ThrowIfAny();
        Assert.Equal(times, source.Casts);
        using var expected = whole.detach().to(ScalarType.BFloat16).sum(dim: 0L).expand(4, 16);
        Assert.True(x.grad!.allclose(expected, 0.02, 0.05));
    }

    /// <summary>Counts casts. As if gathered: its parameter is a part of what it gives.</summary>
    private sealed class CountingSource(TorchSharp.Modules.Parameter whole, bool gathered) : IWeightSource
    {
        public int Casts { get; private set; }

        public TorchSharp.Modules.Parameter Parameter { get; } = gathered ? new TorchSharp.Modules.Parameter(whole.detach().narrow(0, 0, 4)) : whole;

        public Tensor Gather(ScalarType type)
        {
            Casts++;
            return whole.detach().to(type);
        }

        public Tensor? ReduceGradient(Tensor gradient) => null;
    }

    [Fact]
    public void RmsNorm_equals_its_formula_and_embedding_looks_rows_up()
    {
        using var scope = NewDisposeScope();
        var norm = new RmsNorm(8, 1e-5);
        using (no_grad()) norm.Weight.Parameter.normal_();
        var x = randn(3, 8);
        var expected = x / (x * x).mean([1L], keepdim: true).add(1e-5).sqrt() * norm.Weight.Parameter;
        Assert.True(norm.call(x).allclose(expected, 1e-5, 1e-6));

        var table = new Embedding(10, 4);
        using (no_grad()) table.Weight.Parameter.normal_();
        var ids = tensor(new long[] { 3, 9, 3 }, [1, 3]);
        var rows = table.call(ids);
        Assert.True(rows[0, 1].eq(table.Weight.Parameter[9]).all().item<bool>());
        rows.sum().backward();
        Assert.Equal(2f, table.Weight.Parameter.grad![3, 0].item<float>());
    }

    [Fact]
    public void What_a_backward_throws_reaches_the_caller_as_what_it_was()
    {
        using var scope = NewDisposeScope();
        var x = ones(2).requires_grad_(true);
        Throwing.Of(x).sum().backward();
        var error = Assert.Throws<InvalidOperationException>(BackwardFailure.ThrowIfAny);
        Assert.Equal("on purpose", error.Message);
        BackwardFailure.ThrowIfAny();
    }

    private sealed class Throwing : GuardedFunction
    {
        public static Tensor Of(Tensor x) => new Throwing().Apply(x);

        protected override Tensor Forward(Tensor[] inputs) => inputs[0].clone();

        protected override Tensor?[] Backward(Tensor gradient) => throw new InvalidOperationException("on purpose");
    }
}
