using Titan.Abstractions;
using Titan.Distributed;
using Titan.Plugins.Parallelism;
using static TorchSharp.torch;

namespace Titan.Parallelism.Tests;

/// <summary>A bias is served by every layer on one rank; what shares work out over ranks has no place for it and says so instead of losing it.</summary>
public sealed class BiasTests
{
    [Fact]
    public void Parallelisms_refuse_a_layer_with_a_bias_by_its_name()
    {
        var model = new Biased();
        var context = new ParallelizationContext(model, [], ThreadRanks.Alone(new ParallelDimensions(2, 2, TensorParallel: 2)), MeshAxis.DataParallelShard, new ShardedDataParallelOptions());
        var plan = new TensorParallelPlan([new("head", TensorParallelStyle.Colwise)], new Embedding(16, 16, META), [], []);
        foreach (var apply in new Action[] { () => new FullyShardedDataParallel().Apply(context), () => new ReplicatedDataParallel().Apply(context), () => plan.Check(model, 2) })
        {
            var error = Assert.Throws<TitanException>(apply);
            Assert.Equal(ExitCode.Usage, error.Code);
            Assert.Contains("'head'", error.Message, StringComparison.Ordinal);
            Assert.Contains("bias", error.Message, StringComparison.Ordinal);
        }
    }

    private sealed class Biased : nn.Module<Tensor, Tensor>
    {
        private readonly Linear head = new(16, 16, hasBias: true, device: META);

        public Biased() : base(nameof(Biased)) => register_module("head", head);

        public override Tensor forward(Tensor x) => head.call(x);
    }
}
