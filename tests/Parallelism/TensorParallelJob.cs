using Titan.Abstractions;
using Titan.Kernels.Activations;
using Titan.Models;
using Titan.Plugins.Lora;
using Titan.Plugins.Parallelism;
using Titan.Quantization.Conversion;
using Titan.Quantization.Matmuls;
using Titan.Training.Configuration;
using Titan.Training.Losses;
using Titan.Training.Models;
using Titan.Models.Llama3;
using static TorchSharp.torch;

namespace Titan.Parallelism.Tests;

/// <summary>One forward and backward of a small Llama 3, on one rank or over several.</summary>
internal static class TensorParallelJob
{
    public const int Vocabulary = 256, Dimension = 256, Length = 64, Batch = 2, Layers = 2;

    private static readonly Lock Random = new();

    /// <summary>What is run.</summary>
    public sealed record Options
    {
        public string? Recipe { get; init; }

        public ScalarType Type { get; init; } = ScalarType.Float32;

        public BlockCheckpointing Checkpointing { get; init; } = BlockCheckpointing.None;

        public bool DisableLossParallel { get; init; }

        public bool Fused { get; init; }

        public bool Gradients { get; init; } = true;

        public IReadOnlyList<string> Skip { get; init; } = [];

        public Llama3Args Args { get; init; } = new(Dimension, Layers, 8, 4, Vocabulary, MultipleOf: 128);

        /// <summary>Ranks over which FSDP shards besides; each reads the same tokens, so that gradients are multiples of those of one rank.</summary>
        public int Shard { get; init; } = 1;

        public bool Float8Gather { get; init; }

        public int Sequence { get; init; } = Length;

        /// <summary>The layers that have low-rank adapters, of which B is not zero; then the model is frozen.</summary>
        public IReadOnlyList<string> Adapters { get; init; } = [];
    }

    /// <summary>What a rank has in the end.</summary>
    public sealed record Result(double Loss, Tensor Logits, IReadOnlyDictionary<string, (ShardLayout Layout, int Replicas, Tensor Gradient)> Gradients, CountingGroup? Group, IReadOnlyList<string> Notes);

    public static Result Alone(Options options) => Run(options, null);

    public static Result[] Over(int ranks, Options options) =>
        ThreadRanks.Run(new ParallelDimensions(DataParallelShard: options.Shard, TensorParallel: ranks), mesh => Run(options, mesh));

    /// <summary>The model, converted, on the meta device.</summary>
    public static Decoder Build(Options options, ParallelDimensions dimensions)
    {
        var model = options.Args.Build(new ModelContext(options.Sequence, META, ScalarType.Float32));
        if (options.Recipe is { } name)
        {
            var recipe = TinyJob.Recipes[name];
            var converter = new QuantizeLinearConverter("test", [(new RecipeMetadata { Family = "test", Name = name, IsDefault = true }, recipe)]);
            converter.Convert(new ModelSlots(model),
                new QuantizeOptions(new QuantizeLinearOptions { FilterFqns = options.Skip, EnableFsdpFloat8AllGather = options.Float8Gather }, new Dictionary<string, object> { [name] = Activator.CreateInstance(recipe.OptionsType)! }),
                new ConversionContext(DeviceCapability.Cpu, true, dimensions) { ComputeType = options.Type });
        }

        if (options.Adapters.Count > 0)
        {
            var before = model.named_parameters().Select(p => p.name).ToHashSet();
            var adapted = new LoraConverter().Convert(new ModelSlots(model), new LoraOptions { TargetModules = options.Adapters }, new ConversionContext(DeviceCapability.Cpu, true, dimensions));
            model.Added = model.named_parameters().Where(p => !before.Contains(p.name)).ToDictionary(p => p.name, _ => (IModelConversion)new Trained(adapted.Report));
        }

        if (options.Fused) model.UseKernels(ModelKernels.For(fused: true, cuda: false));
        model.SetComputeType(options.Type);
        for (var i = 0; i < model.Blocks.Count; i++) model.SetCheckpointing(i, options.Checkpointing);
        return model;
    }

    /// <summary>The whole gradient of a parameter from the parts of all ranks.</summary>
    public static Tensor Gradient(IEnumerable<Result> ranks, string fqn)
    {
        Tensor? whole = null;
        foreach (var rank in ranks)
        {
            var (layout, _, value) = rank.Gradients[fqn];
            whole ??= full([.. layout.GlobalShape], double.NaN, dtype: value.dtype);
            layout.Of(whole).copy_(value);
        }

        return whole!;
    }

    /// <summary>The whole logits.</summary>
    public static Tensor Logits(IReadOnlyList<Result> ranks, Options options) => options.DisableLossParallel ? ranks[0].Logits : cat([.. ranks.Select(r => r.Logits)], -1);

    /// <summary>Signal to noise in dB.</summary>
    public static double Sqnr(Tensor expected, Tensor actual)
    {
        using var scope = NewDisposeScope();
        Tensor a = expected.to(ScalarType.Float64), b = actual.to(ScalarType.Float64);
        Assert.Equal(a.shape, b.shape);
        var noise = (a - b).norm().item<double>();
        return noise == 0 ? double.PositiveInfinity : 20 * Math.Log10(a.norm().item<double>() / noise);
    }

    private static Result Run(Options options, DeviceMesh? ranks)
    {
        using var scope = NewDisposeScope();
        var model = Build(options, ranks?.Sizes ?? new ParallelDimensions());
        var mesh = ranks is null ? null : ThreadRanks.Wrap(ranks, g => g.Name == "tp" ? new CountingGroup(g) : g);
        var group = mesh?.Group(MeshAxis.TensorParallel) as CountingGroup;
        var split = mesh is null ? null : new TensorParallel().Apply(
            new ParallelizationContext(model, model.Blocks, mesh, MeshAxis.TensorParallel, new TensorParallelOptions { DisableLossParallel = options.DisableLossParallel }) { ParamType = options.Type });
        var fsdp = options.Shard > 1
            ? new FullyShardedDataParallel().Apply(new ParallelizationContext(model, model.Blocks, mesh!, MeshAxis.DataParallelShard, new ShardedDataParallelOptions()) { ParamType = options.Type })
            : null;
        ModelParameters.Materialize(model, CPU);
        lock (Random) model.InitializeWeights(7);
        fsdp?.AfterOptimizerStep();
        var (tokens, labels) = Data(options);
        using var mode = set_grad_enabled(options.Gradients);
        var logits = model.call(tokens);
        var loss = CrossEntropy.For(new CompileSection { Enable = options.Fused }, split?.VocabularyGroup)(logits.clone(), labels, labels.numel());
        if (options.Gradients)
        {
            loss.backward();
            BackwardFailure.ThrowIfAny();
            fsdp?.AfterBackward();
        }

        return new Result(loss.item<float>(), Keep(logits.detach()),
            ModelParameters.Of(model).Where(p => p.Parameter.grad is not null).ToDictionary(p => p.Fqn, p => (p.Layout, p.Replicas, Keep(p.Parameter.grad!))), group, split?.Notes ?? []);
    }

    /// <summary>Adapters as they are after a while: A of an untrained B has no gradient.</summary>
    private sealed record Trained(ConversionReport Report) : IModelConversion
    {
        public void Initialize(string fqn, Tensor whole) => nn.init.normal_(whole, 0, 0.03);
    }

    private static Tensor Keep(Tensor x) => x.clone().DetachFromDisposeScope();

    private static (Tensor Tokens, Tensor Labels) Data(Options options)
    {
        var random = new Random(3);
        var ids = Enumerable.Range(0, Batch * (options.Sequence + 1)).Select(_ => (long)random.Next(options.Args.Vocabulary)).ToArray();
        var all = tensor(ids, [Batch, options.Sequence + 1]);
        var labels = all.narrow(1, 1, options.Sequence).reshape(-1).clone();
        labels.narrow(0, 5, 3).fill_(-100);
        return (all.narrow(1, 0, options.Sequence).contiguous(), labels);
    }
}
