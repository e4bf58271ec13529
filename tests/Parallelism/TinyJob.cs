using Titan.Abstractions;
using Titan.Models;
using Titan.Plugins.Float8Rowwise;
using Titan.Plugins.Float8Tensorwise;
using Titan.Plugins.Lora;
using Titan.Plugins.MXFP8;
using Titan.Plugins.Parallelism;
using Titan.Quantization.Conversion;
using Titan.Quantization.Matmuls;
using Titan.Training.Models;
using Titan.Models.Llama3;
using Titan.Training.Optimization;
using static TorchSharp.torch;

namespace Titan.Parallelism.Tests;

/// <summary>A small Llama 3 that trains on given tokens over ranks that are threads.</summary>
internal static class TinyJob
{
    public const int Vocabulary = 160, Length = 32;

    private static readonly Lock Random = new();

    // One object for all runs, as a plugin's exports are.
    private static readonly FullyShardedDataParallel Sharding = new();

    private static readonly ReplicatedDataParallel Replication = new();

    /// <summary>Recipes by name.</summary>
    public static readonly IReadOnlyDictionary<string, IQuantizationRecipe> Recipes = new Dictionary<string, IQuantizationRecipe>
    {
        ["tensorwise"] = new TensorwiseRecipe(), ["rowwise"] = new RowwiseRecipe(), ["rowwise_with_gw_hp"] = new RowwiseWithGradWeightHighPrecisionRecipe(),
        ["mxfp8_cublas"] = new CublasRecipe(), ["mxfp8_rceil"] = new RceilRecipe(),
    };

    private static readonly QuantizeLinearConverter Converter = new("test", [.. Recipes.Select(r => (new RecipeMetadata { Family = "test", Name = r.Key, IsDefault = r.Key == "tensorwise" }, r.Value))]);

    /// <summary>What a run is.</summary>
    public sealed record Options
    {
        public string? Recipe { get; init; }

        public bool Float8Gather { get; init; }

        public bool Precompute { get; init; }

        public bool Reshard { get; init; } = true;

        public bool Prefetch { get; init; } = true;

        public ScalarType ParamType { get; init; } = ScalarType.BFloat16;

        public BlockCheckpointing Checkpointing { get; init; } = BlockCheckpointing.None;

        public int Steps { get; init; } = 3;

        public int Dimension { get; init; } = 64;

        /// <summary>Whether the model is frozen, with adapters.</summary>
        public bool Adapters { get; init; }

        /// <summary>Runs a step of a rank, which may have to wait until it is its run's turn.</summary>
        public Action<Action> Turn { get; init; } = step => step();
    }

    /// <summary>What a rank has in the end.</summary>
    /// <param name="Losses">Summed over the ranks, per step.</param>
    /// <param name="Parameters">Local parts, with their layouts.</param>
    public sealed record Result(IReadOnlyList<double> Losses, IReadOnlyDictionary<string, (ShardLayout Layout, Tensor Value)> Parameters, int MostGathered);

    /// <summary>The model of a run, converted, on the meta device.</summary>
    public static (Decoder Model, IReadOnlyList<IModelConversion> Conversions) Build(Options options, ParallelDimensions dimensions)
    {
        var model = new Llama3Args(options.Dimension, 2, 4, 2, Vocabulary, MultipleOf: 64).Build(new ModelContext(Length, META, ScalarType.Float32));
        var conversions = new List<IModelConversion>();
        if (options.Recipe is { } name)
        {
            var recipe = Recipes[name];
            conversions.Add(Converter.Convert(new ModelSlots(model),
                new QuantizeOptions(
                    new QuantizeLinearOptions { RecipeName = name, FilterFqns = ["output"], EnableFsdpFloat8AllGather = options.Float8Gather, PrecomputeFloat8DynamicScaleForFsdp = options.Precompute },
                    new Dictionary<string, object> { [name] = Activator.CreateInstance(recipe.OptionsType)! }),
                new ConversionContext(DeviceCapability.Cpu, true, dimensions) { ComputeType = options.ParamType }));
        }

        if (options.Adapters)
        {
            var before = model.named_parameters().Select(p => p.name).ToHashSet();
            conversions.Add(new LoraConverter().Convert(new ModelSlots(model), new LoraOptions(), new ConversionContext(DeviceCapability.Cpu, true, dimensions)));
            model.Added = model.named_parameters().Where(p => !before.Contains(p.name)).ToDictionary(p => p.name, _ => conversions[^1]);
        }

        model.SetComputeType(options.ParamType);
        for (var i = 0; i < model.Blocks.Count; i++) model.SetCheckpointing(i, options.Checkpointing);
        return (model, conversions);
    }

    /// <summary>Trains on one rank, which runs the batch in some micro-batches one after the other.</summary>
    public static Result Alone(Options options, int batch, int microBatches = 1) => Train(options, new ParallelDimensions(), null, batch, microBatches);

    /// <summary>Trains on every rank of a mesh of dp_replicate x dp_shard.</summary>
    public static Result[] Over(ParallelDimensions dimensions, Options options, int batch) =>
        ThreadRanks.Run(dimensions, mesh => Train(options, dimensions, mesh, batch, 1));

    /// <summary>The whole parameter from the parts of all ranks.</summary>
    public static Tensor Whole(IEnumerable<Result> ranks, string fqn)
    {
        Tensor? whole = null;
        foreach (var rank in ranks)
        {
            var (layout, value) = rank.Parameters[fqn];
            whole ??= full([.. layout.GlobalShape], double.NaN, dtype: value.dtype);
            layout.Of(whole).copy_(value);
        }

        return whole!;
    }

    private static Result Train(Options options, ParallelDimensions dimensions, DeviceMesh? mesh, int batch, int microBatches)
    {
        using var scope = NewDisposeScope();
        var (model, conversions) = Build(options, dimensions);
        var parallelisms = new List<IAppliedParallelism>();
        if (mesh is not null)
        {
            if (dimensions.DataParallelShard > 1) parallelisms.Add(Apply(Sharding, MeshAxis.DataParallelShard));
            if (dimensions.DataParallelReplicate > 1) parallelisms.Add(Apply(Replication, MeshAxis.DataParallelReplicate));
        }

        ModelParameters.Materialize(model, CPU);
        lock (Random) model.InitializeWeights(7);
        foreach (var parallelism in parallelisms) parallelism.AfterOptimizerStep();
        var parameters = ModelParameters.Of(model);
        var optimizer = new FusedAdam([.. parameters.Where(p => p.Parameter.requires_grad).Select(p => (p.Fqn, p.Parameter))], 0.9, 0.95, 1e-8, 0.1, true);
        var losses = new List<double>();
        var replicate = mesh?.Group(MeshAxis.DataParallelReplicate);
        var shard = mesh?.Group(MeshAxis.DataParallelShard);
        var position = mesh?.Coordinate(MeshAxis.DataParallelReplicate, MeshAxis.DataParallelShard) ?? 0;
        var local = batch / dimensions.Batch / microBatches;
        for (var step = 0; step < options.Steps; step++) options.Turn(() => Step(step));
        return new Result(losses, parameters.ToDictionary(p => p.Fqn, p => (p.Layout, p.Parameter.detach().clone().DetachFromDisposeScope())), parallelisms.OfType<ShardedModel>().FirstOrDefault()?.MostGathered ?? 0);

        void Step(int step)
        {
            using var one = NewDisposeScope();
            Gradients.Clear(parameters);
            var (tokens, labels) = Data(step, batch);
            var sum = zeros([]);
            for (var micro = 0; micro < microBatches; micro++)
            {
                var own = tokens.narrow(0, (position + micro) * local, local);
                var ownLabels = labels.narrow(0, (position + micro) * local, local).reshape(-1);
                var logits = model.call(own);
                var loss = nn.functional.cross_entropy(logits.reshape(-1, Vocabulary).to(ScalarType.Float32), ownLabels, reduction: nn.Reduction.Sum) / labels.numel();
                loss.backward();
                BackwardFailure.ThrowIfAny();
                foreach (var parallelism in parallelisms) parallelism.AfterBackward();
                sum.add_(loss.detach());
            }

            shard?.AllReduce(sum, ReduceOperation.Sum);
            replicate?.AllReduce(sum, ReduceOperation.Sum);
            losses.Add(sum.item<float>());
            optimizer.Step(2e-3);
            foreach (var conversion in conversions) conversion.AfterOptimizerStep();
            foreach (var parallelism in parallelisms) parallelism.AfterOptimizerStep();
        }

        IAppliedParallelism Apply(IParallelism parallelism, MeshAxis axis) => parallelism.Apply(new ParallelizationContext(
            model, model.Blocks, mesh!, axis, new ShardedDataParallelOptions { FsdpReshardAfterForward = options.Reshard ? "default" : "never", FsdpPrefetch = options.Prefetch }) { ParamType = options.ParamType });
    }

    /// <summary>The same tokens for every run: x[i + 1] follows from x[i], so there is something to learn.</summary>
    private static (Tensor Tokens, Tensor Labels) Data(int step, int batch)
    {
        var random = new Random(step);
        var all = new long[batch * (Length + 1)];
        for (var b = 0; b < batch; b++)
        {
            all[b * (Length + 1)] = random.Next(Vocabulary);
            for (var s = 1; s <= Length; s++) all[b * (Length + 1) + s] = (all[b * (Length + 1) + s - 1] * 5 + 3) % Vocabulary;
        }

        var x = tensor(all, [batch, Length + 1]);
        return (x.narrow(1, 0, Length).contiguous(), x.narrow(1, 1, Length).contiguous());
    }
}
