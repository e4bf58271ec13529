using Titan.Abstractions;
using Titan.Distributed;
using Titan.Plugins.Parallelism;
using static TorchSharp.torch;

namespace Titan.Parallelism.Tests;

/// <summary>A bias is a weight of its layer like any other; what has no place for it says so instead of losing it.</summary>
public sealed class BiasTests
{
    [Fact]
    public void Tensor_parallelism_refuses_a_layer_with_a_bias_by_its_name()
    {
        var plan = new TensorParallelPlan([new("head", TensorParallelStyle.Colwise)], new Embedding(16, 16, META), [], []);
        var error = Assert.Throws<TitanException>(() => plan.Check(new Biased(), new ParallelDimensions(TensorParallel: 2)));
        Assert.Equal(ExitCode.Usage, error.Code);
        Assert.Contains("layer 'head' (16 x 16) has a bias", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Shards_and_replicas_have_it_with_the_weight_and_its_gradient_is_the_sum_over_the_ranks()
    {
        Tensor x = arange(128, dtype: ScalarType.Float32).reshape(8, 16) / 64;
        using var scope = NewDisposeScope();
        var alone = Gradients(new Biased(CPU), x);
        foreach (var dimensions in new[] { new ParallelDimensions(DataParallelShard: 2), new ParallelDimensions(DataParallelReplicate: 2), new ParallelDimensions(2, 2) })
        {
            var ranks = ThreadRanks.Run(dimensions, mesh =>
            {
                using var own = NewDisposeScope();
                var model = new Biased();
                var applied = new List<IAppliedParallelism>();
                if (dimensions.DataParallelShard > 1) applied.Add(new FullyShardedDataParallel().Apply(Context(MeshAxis.DataParallelShard, new ShardedDataParallelOptions())));
                if (dimensions.DataParallelReplicate > 1) applied.Add(new ReplicatedDataParallel().Apply(Context(MeshAxis.DataParallelReplicate, new NoOptions())));
                ModelParameters.Materialize(model, CPU);
                var rows = 8 / dimensions.Batch;
                return Gradients(model, x.narrow(0, mesh.Coordinate(MeshAxis.DataParallelReplicate, MeshAxis.DataParallelShard) * rows, rows), applied);

                ParallelizationContext Context(MeshAxis axis, object options) => new(model, [], mesh, axis, options) { ParamType = ScalarType.Float32 };
            });
            foreach (var name in new[] { "head.weight", "head.bias" })
            {
                var whole = full_like(alone[name].Gradient, double.NaN);
                foreach (var rank in ranks) rank[name].Layout.Of(whole).copy_(rank[name].Gradient);
                Assert.True(whole.allclose(alone[name].Gradient, 1e-6, 1e-6), $"{name} over {dimensions}");
            }
        }
    }

    private static Dictionary<string, (ShardLayout Layout, Tensor Gradient)> Gradients(Biased model, Tensor x, IReadOnlyList<IAppliedParallelism>? applied = null)
    {
        foreach (var (_, parameter, _, _) in ModelParameters.Of(model)) using (no_grad()) parameter.fill_(0.5);
        foreach (var one in applied ?? []) one.AfterOptimizerStep();
        model.call(x).square().sum().backward();
        BackwardFailure.ThrowIfAny();
        foreach (var one in applied ?? []) one.AfterBackward();
        return ModelParameters.Of(model).ToDictionary(p => p.Fqn, p => (p.Layout, p.Parameter.grad!.clone().DetachFromDisposeScope()));
    }

    private sealed class Biased : nn.Module<Tensor, Tensor>
    {
        private readonly Linear head;

        public Biased(Device? device = null) : base(nameof(Biased))
        {
            head = new Linear(16, 16, hasBias: true, device: device ?? META);
            register_module("head", head);
        }

        public override Tensor forward(Tensor x) => head.call(x);
    }
}
