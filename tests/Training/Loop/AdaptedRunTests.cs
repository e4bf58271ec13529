using Titan.Abstractions;
using Titan.Plugins.Lora;
using Titan.Training.Configuration;

namespace Titan.Training.Tests.Loop;

/// <summary>Runs in which a part of the model is frozen, by the job or by a converter that adds weights.</summary>
public sealed class AdaptedRunTests : TinyRuns
{
    private static readonly CheckpointSection Weights = new() { Enable = true, Interval = 100, LastSaveModelOnly = true };

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_base_checkpoint_without_the_new_weights_is_loaded_and_they_are_initialised(bool float8)
    {
        IsFloat8 = float8;
        Run(Weights, "base");
        var started = new CheckpointSection { Enable = true, Interval = 2, LastSaveModelOnly = false, InitialLoadPath = At("base", $"step-{Steps}") };
        var plain = Run(started, "plain", stop: 1);
        Converters.Add(("lora", new LoraConverter(), new LoraOptions()));
        Logged.Clear();
        var adapted = Run(started, "adapted");
        // B is zero at first: the same model.
        Assert.Equal(plain[1], adapted[1], 1e-5);
        Assert.True(adapted[Steps] < adapted[1]);
        Assert.Contains(Logged, l => l.StartsWith("New parameters are initialised, for the checkpoint has none: 14 (layers.0.attention.wk.lora_a.weight, ", StringComparison.Ordinal));
        Assert.Contains(Logged, l => l.StartsWith("Trainable: ", StringComparison.Ordinal) && l.Contains(" are frozen", StringComparison.Ordinal) && l.EndsWith("; converters added 14 weights", StringComparison.Ordinal));
        // A run of its own that goes on has them.
        var whole = Run(Full, "straight");
        Run(Full, "resumed", stop: 4);
        Logged.Clear();
        var rest = Run(Full, "resumed");
        Assert.Equal(whole.Where(l => l.Key > 4), rest);
        Assert.DoesNotContain(Logged, l => l.StartsWith("New parameters", StringComparison.Ordinal));
    }

    [Fact]
    public void What_a_job_freezes_stays_and_has_no_optimizer_state()
    {
        JobConfig Frozen(params string[] fqns) => Job("frozen", Full) with { Model = new ModelSection { Flavor = "tiny", FrozenFqns = fqns } };
        var losses = Run(Full, "frozen", config: Frozen("tok_embeddings", "layers.0.attention", "layers.0.feed_forward.w1.weight"));
        Assert.True(losses[Steps] < losses[1]);
        var moments = Titan.Training.Checkpoints.SafetensorsFile.ReadHeader(At("frozen", $"step-{Steps}", "optimizer.safetensors")).Select(t => t.Key).ToList();
        Assert.Contains("exp_avg.layers.0.feed_forward.w2.weight", moments);
        Assert.DoesNotContain(moments, m => m.Contains("attention.w", StringComparison.Ordinal) || m.Contains("tok_embeddings", StringComparison.Ordinal) || m.Contains(".w1.", StringComparison.Ordinal));
        // A pattern names as much.
        var patterns = Run(Full, "patterns", config: Frozen("tok_*", "layers.*.attention", "*.w1.weight") with { Job = Job("patterns", Full).Job });
        Assert.True(patterns[Steps] < patterns[1]);
        var left = Titan.Training.Checkpoints.SafetensorsFile.ReadHeader(At("patterns", $"step-{Steps}", "optimizer.safetensors")).Select(t => t.Key).Where(m => m.StartsWith("exp_avg.", StringComparison.Ordinal)).ToList();
        Assert.Contains("exp_avg.layers.0.attention_norm.weight", left);
        Assert.DoesNotContain(left, m => m.Contains(".attention.", StringComparison.Ordinal) || m.Contains(".w1.", StringComparison.Ordinal) || m.Contains("tok_", StringComparison.Ordinal));
        var unknown = Assert.Throws<TitanException>(() => Create(Frozen("layers.7")));
        Assert.Equal(ExitCode.Usage, unknown.Code);
        Assert.Contains("'layers.7'", unknown.Message, StringComparison.Ordinal);
        Assert.Contains("nothing is left to train", Assert.Throws<TitanException>(() => Create(Frozen("tok_embeddings", "layers", "norm", "output"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_converter_that_replaces_after_one_that_wraps_is_told_the_order()
    {
        Converters.Add(("lora", new LoraConverter(), new LoraOptions()));
        Converters.Add(TensorwiseConverter.Create());
        var refusal = Assert.Throws<TitanException>(() => Create(Job("order", Full)));
        Assert.Equal(ExitCode.Plugin, refusal.Code);
        Assert.Contains("around which 'lora' has put a layer; list 'quantize.linear.float8' first in model.converters", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void New_weights_that_nobody_fills_are_named()
    {
        Converters.Add(("lora", new Forgetful(), new LoraOptions()));
        var refusal = Assert.Throws<TitanException>(() => Create(Job("unfilled", Full)));
        Assert.Equal(ExitCode.Plugin, refusal.Code);
        Assert.Contains("converter 'lora' added parameter 'layers.0.attention.w", refusal.Message, StringComparison.Ordinal);
    }

    /// <summary>Does not say how its weights are filled.</summary>
    private sealed class Forgetful : IModelConverter
    {
        public IModelConversion Convert(ModelSlots model, object options, ConversionContext context) => new LoraConverter().Convert(model, options, context).Report;
    }
}
