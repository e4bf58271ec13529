using Titan.Abstractions;
using Titan.Quantization.Linear;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests.Linear;

public sealed class LifetimeTests : IDisposable
{
    private readonly int threads = get_num_threads();

    /// <summary>The tensors are tiny: native threads would spend their time waiting for each other.</summary>
    public LifetimeTests() => set_num_threads(1);

    public void Dispose() => set_num_threads(threads);

    [Theory]
    [InlineData("tensorwise", 2000, false), InlineData("tensorwise", 2000, true), InlineData("rowwise", 500, false), InlineData("mxfp8_rceil", 500, false)]
    public void ManyStepsLeaveNoTensorBehind(string recipe, int steps, bool emulate)
    {
        using var outer = NewDisposeScope();
        Tensor x = randn(32, 32), w = randn(32, 32), g = randn(32, 32);
        var first = new QuantizedLinear(Numbers.Layer(w), Numbers.Engine(Numbers.All[recipe], emulate: emulate));
        var second = new QuantizedLinear(Numbers.Layer(w), Numbers.Engine(Numbers.All[recipe], emulate: emulate));
        long after3 = 0;
        for (var i = 0; i < steps; i++)
        {
            using (NewDisposeScope())
            {
                second.call(first.call(x)).backward([g]);
                BackwardFailure.ThrowIfAny();
                foreach (var layer in new[] { first, second }) layer.Weight.Parameter.grad = null;
            }

            if (i == 3) after3 = Tensor.TotalCount;
        }

        Assert.True(Tensor.TotalCount <= after3 + 4, $"{after3} tensors after 3 steps, {Tensor.TotalCount} after {steps}");
    }

    [Fact]
    public async Task CollectionsAtAnyMomentDoNotFreeWhatNativeCodeUses()
    {
        using var done = new CancellationTokenSource();
        var collectors = Enumerable.Range(0, 2).Select(_ => Task.Run(() =>
        {
            while (!done.IsCancellationRequested)
            {
                GC.Collect(0);
                GC.WaitForPendingFinalizers();
            }
        })).ToArray();
        var workers = Enumerable.Range(0, 2).Select(seed => Task.Run(() =>
        {
            using var outer = NewDisposeScope();
            Tensor x = ones(16, 32), w = ones(32, 32), g = ones(16, 32);
            var layer = new QuantizedLinear(Numbers.Layer(w), Numbers.Engine(Numbers.Tensorwise));
            for (var i = 0; i < 400; i++)
            {
                using var scope = NewDisposeScope();
                var (y, gradX, _) = Numbers.Run(layer, x, g);
                Assert.Equal(32f, y.mean().item<float>(), 0.001f);
                Assert.Equal(32f, gradX.mean().item<float>(), 0.001f);
            }
        })).ToArray();
        await Task.WhenAll(workers);
        await done.CancelAsync();
        await Task.WhenAll(collectors);
    }

    [Fact]
    public void AnExceptionInABackwardIsThrownByTheTrainerInsteadOfEndingTheProcess()
    {
        using var scope = NewDisposeScope();
        var custom = new OperandCast.Custom(new FailsAfter(2));
        var layer = new QuantizedLinear(Numbers.Layer(randn(16, 16)), Numbers.Engine(new LinearRecipe(new(custom, custom), new(custom, custom), new(custom, custom))));
        layer.call(randn(16, 16).requires_grad_()).sum().backward();
        var e = Assert.Throws<NotSupportedException>(BackwardFailure.ThrowIfAny);
        Assert.Equal("third cast", e.Message);
        BackwardFailure.ThrowIfAny();
    }

    [Fact]
    public void AnExceptionInAForwardReachesTheCaller()
    {
        using var scope = NewDisposeScope();
        var layer = new QuantizedLinear(Numbers.Layer(randn(16, 16)), Numbers.Engine(Numbers.Tensorwise));
        Assert.ThrowsAny<Exception>(() => layer.call(randn(16, 24).requires_grad_()));
        layer.call(randn(16, 16)).Dispose();
    }

    private sealed class FailsAfter(int casts) : IQuantizer
    {
        private int left = casts;

        public string Name => "fails";

        public Tensor QuantizeDequantize(Tensor operand) => left-- > 0 ? operand.clone() : throw new NotSupportedException("third cast");
    }
}
