using Titan.Abstractions;
using Titan.Models;
using Titan.Models.Llama3;
using Titan.Training.Checkpoints;
using Titan.Training.Configuration;
using Titan.Training.Loop;
using Titan.Training.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace Titan.Training.Tests.Loop;

/// <summary>Buffers, hooks around the optimizer step and terms of the loss, in a model that needs all of them.</summary>
public sealed class ModelStateTests : TinyRuns
{
    [Fact]
    public void A_run_that_is_stopped_and_resumed_has_the_losses_of_one_that_was_not()
    {
        var whole = Losses("whole", Full, Steps, out var expected);
        _ = Losses("parts", Full, 3, out _);
        var rest = Losses("parts", Full, Steps, out var actual);
        Assert.Equal(whole.Where(l => l.Key > 3), rest);
        Assert.Equal(expected, actual);
        Assert.Empty(Warnings);
    }

    [Fact]
    public void Hooks_run_around_each_step_and_a_bias_that_they_move_changes_the_losses()
    {
        var model = new List<Biased>();
        var moving = Losses("moving", new CheckpointSection(), Steps, out _, model);
        Assert.Equal(Enumerable.Range(1, Steps).SelectMany(s => new[] { $"before {s}", $"after {s}" }), model[0].Calls);
        var still = Losses("still", new CheckpointSection(), Steps, out _, rate: 0);
        Assert.Equal(still[1], moving[1]);
        Assert.NotEqual(still[Steps], moving[Steps]);
    }

    [Fact]
    public void A_term_of_the_loss_changes_the_gradients_and_not_the_loss_that_is_reported()
    {
        var with = Losses("with", new CheckpointSection(), 2, out _);
        var without = Losses("without", new CheckpointSection(), 2, out _, coefficient: 0);
        Assert.Equal(without[1], with[1]);
        Assert.NotEqual(without[2], with[2]);
    }

    [Fact]
    public void A_term_weighs_micro_batches_as_the_loss_does()
    {
        var one = Losses("one", new CheckpointSection(), 3, out _);
        var two = Losses("two", new CheckpointSection(), 3, out _, job => job with { Training = Training with { LocalBatchSize = 1, GlobalBatchSize = 2 } });
        foreach (var step in one.Keys) Assert.Equal(one[step], two[step], 1e-5);
    }

    [Fact]
    public void Checkpoints_hold_the_buffers_that_persist_whatever_dtype_is_exported()
    {
        _ = Losses("run", Full with { LastSaveModelOnly = true, ExportDtype = "bfloat16" }, Steps, out _);
        foreach (var step in new[] { "step-2", "step-8" })
        {
            var tensors = CheckpointStore.OpenFolder(At("run", step)).Tensors("model.safetensors");
            Assert.Equal(ScalarType.Int64, tensors["seen"].Type);
            Assert.Equal(ScalarType.Float32, tensors["bias"].Type);
            Assert.DoesNotContain("recent", tensors.Keys);
        }
    }

    [Fact]
    public void A_term_without_a_gradient_is_refused()
    {
        var error = Assert.Throws<TitanException>(() => Losses("run", new CheckpointSection(), 1, out _, coefficient: double.NaN));
        Assert.Equal(ExitCode.Plugin, error.Code);
        Assert.Contains("the auxiliary loss of Biased has no gradient", error.Message, StringComparison.Ordinal);
    }

    /// <summary>The losses of a run, and its buffers in the end.</summary>
    private SortedDictionary<long, double> Losses(string run, CheckpointSection checkpoint, int stop, out (string Seen, string Bias) state,
        List<Biased>? made = null, double rate = 0.05, double coefficient = 0.1) => Losses(run, checkpoint, stop, out state, job => job, made, rate, coefficient);

    private SortedDictionary<long, double> Losses(string run, CheckpointSection checkpoint, int stop, out (string Seen, string Bias) state,
        Func<JobConfig, JobConfig> change, List<Biased>? made = null, double rate = 0.05, double coefficient = 0.1)
    {
        made ??= [];
        var args = new Llama3Args(32, 1, 2, 2, 2048, MultipleOf: 32);
        var registry = new ModelRegistry();
        registry.Register("llama3", new Dictionary<string, ModelFlavor>
        {
            ["tiny"] = new(args.Counts, context =>
            {
                made.Add(new Biased(args.Build(context), rate, coefficient));
                return made[^1];
            }),
        });
        using var trainer = new Trainer(new TrainerDependencies(change(Job(run, checkpoint)), registry, [], Metadata, _ => { }, Warnings.Add, false));
        using var source = new CancellationTokenSource();
        var losses = new SortedDictionary<long, double>();
        trainer.Stepped += (step, loss) =>
        {
            losses[step] = loss;
            if (step == stop) source.Cancel();
        };
        trainer.Run(source.Token);
        state = (string.Join(',', made[^1].Seen.Tensor.data<long>()), string.Join(',', made[^1].Bias.Tensor.data<float>()));
        return losses;
    }

    /// <summary>
    /// A model with a bias on its logits that is no parameter: after each step it moves against what tokens were read more often than others. It counts them in two buffers, for ever and
    /// for the step, and keeps its logits small by a term of the loss.
    /// </summary>
    private sealed class Biased : LanguageModel, IBufferOwner, IStepHooks, IAuxiliaryLoss
    {
        private readonly Decoder inner;
        private readonly double rate, coefficient;
        private readonly BufferSlot recent;
        private Tensor? term;

        public Biased(Decoder inner, double rate, double coefficient) : base(nameof(Biased))
        {
            (this.inner, this.rate, this.coefficient) = (inner, rate, coefficient);
            register_module("inner", inner);
            long[] shape = [inner.Counts.Vocabulary];
            Seen = new BufferSlot("seen", shape, ScalarType.Int64);
            Bias = new BufferSlot("bias", shape, ScalarType.Float32);
            recent = new BufferSlot("recent", shape, ScalarType.Int64, isPersistent: false);
            Buffers = [Seen, Bias, recent];
        }

        public BufferSlot Seen { get; }

        public BufferSlot Bias { get; }

        public List<string> Calls { get; } = [];

        public IReadOnlyList<BufferSlot> Buffers { get; }

        public override ModelCounts Counts => inner.Counts;

        public override IReadOnlyList<(string Fqn, nn.Module Module)> Blocks => [.. inner.Blocks.Select(b => ($"inner.{b.Fqn}", b.Module))];

        public override void SetComputeType(ScalarType type) => inner.SetComputeType(type);

        public override void SetCheckpointing(int index, BlockCheckpointing mode) => inner.SetCheckpointing(index, mode);

        public override Tensor forward(ModelInput input)
        {
            using var scope = NewDisposeScope();
            var logits = inner.call(input);
            using (no_grad()) recent.Tensor.add_(input.Tokens.reshape(-1).bincount(null, recent.Shape[0]));
            term = (double.IsNaN(coefficient) ? logits.detach().square().mean() : coefficient * logits.square().mean()).DetachFromDisposeScope();
            return (logits + Bias.Tensor).MoveToOuterDisposeScope();
        }

        public Tensor? TakeAuxiliaryLoss()
        {
            var taken = term;
            term = null;
            return taken;
        }

        public void BeforeOptimizerStep(StepContext context)
        {
            using var none = no_grad();
            using var scope = NewDisposeScope();
            Calls.Add($"before {context.Step}");
            context.Tokens.AllReduce(recent.Tensor, ReduceOperation.Sum);
            Seen.Tensor.add_(recent.Tensor);
            recent.Tensor.zero_();
        }

        public void AfterOptimizerStep(StepContext context)
        {
            using var none = no_grad();
            using var scope = NewDisposeScope();
            Calls.Add($"after {context.Step}");
            var seen = Seen.Tensor.to(ScalarType.Float32);
            Bias.Tensor.sub_((seen - seen.mean()).sign() * rate);
        }

        protected override Initializer InitializerOf(string fqn) => fqn.EndsWith("norm.weight", StringComparison.Ordinal) ? Initializer.Ones : new Initializer.Normal(0.02);
    }
}
