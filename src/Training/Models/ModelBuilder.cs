using System.IO.Enumeration;
using Titan.Abstractions;
using Titan.Kernels.Activations;
using Titan.Models;
using Titan.Quantization.Conversion;
using Titan.Training.Configuration;
using Titan.Training.Models;
using static TorchSharp.torch;

namespace Titan.Training.Models;

/// <summary>Builds and converts a model. The same for a run and for a plan, where the device is meta and nothing is allocated.</summary>
public static class ModelBuilder
{
    /// <summary>Builds the job's model and applies its converters.</summary>
    public static (LanguageModel Model, ModelFlavor Flavor, IReadOnlyList<IModelConversion> Conversions) Build(
        JobConfig config, ModelRegistry models, IReadOnlyList<(string Name, IModelConverter Converter, object Options)> converters, ParallelDimensions dimensions, Device device,
        DeviceCapability capability = default, bool isPlan = false, long seed = 0)
    {
        var flavor = models.Find(config.Model.Name, config.Model.Flavor);
        if (config.Checkpoint is { InitialLoadInHf: true } or { LastSaveInHf: true }) _ = HuggingFaceOf(config.Model, flavor);
        var model = flavor.Build(new ModelContext(Math.Max(config.Training.SeqLen, config.Validation.Enable ? config.Validation.SeqLen : 0), device, TypeOf(config.Training.Dtype)) { ForceLoadBalance = config.Debug.MoeForceLoadBalance });
        var fused = config.Compile.Enable && config.Compile.Components.Contains("model");
        var context = new ConversionContext(capability, fused, dimensions)
        {
            Tokens = (long)config.Training.LocalBatchSize * config.Training.SeqLen / dimensions.ContextParallel, ComputeType = TypeOf(config.Training.MixedPrecisionParam), IsPlan = isPlan, Seed = seed,
        };
        var conversions = new List<IModelConversion>();
        var added = new Dictionary<string, IModelConversion>();
        foreach (var (name, converter, options) in converters)
        {
            var before = model.named_parameters().Select(p => p.name).ToHashSet();
            conversions.Add(Convert(name, converter, options, new ModelSlots(model), context));
            foreach (var (fqn, _) in model.named_parameters().Where(p => !before.Contains(p.name))) added[fqn] = conversions[^1];
        }

        model.Added = added;
        Freeze(model, config.Model.FrozenFqns);

        model.UseKernels(ModelKernels.For(fused, capability.IsCuda));
        model.SetComputeType(TypeOf(config.Training.MixedPrecisionParam));
        SetCheckpointing(model, config.ActivationCheckpoint);
        return (model, flavor, conversions);
    }

    /// <summary>How a flavor is stored in Hugging Face's checkpoints.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/> when its family does not say.</exception>
    public static HuggingFaceFormat HuggingFaceOf(ModelSection model, ModelFlavor flavor) =>
        flavor.HuggingFace?.Invoke() ?? throw new TitanException(ExitCode.Usage, $"model {model.Name}/{model.Flavor}: its family does not say how it is stored in Hugging Face's checkpoints; leave checkpoint.initial_load_in_hf and checkpoint.last_save_in_hf at false");

    /// <summary>Freezes what the job names, and checks that something is left to train.</summary>
    private static void Freeze(LanguageModel model, IReadOnlyList<string> fqns)
    {
        var slots = new ModelSlots(model);
        foreach (var fqn in fqns)
            if (slots.Freeze(name => FileSystemName.MatchesSimpleExpression(fqn, name, ignoreCase: false) || FileSystemName.MatchesSimpleExpression(fqn + ".*", name, ignoreCase: false)) == 0)
                throw new TitanException(ExitCode.Usage, $"model.frozen_fqns: no parameter is called '{fqn}' or lies in it; its first parts are {string.Join(", ", model.named_children().Select(c => c.name))}");
        if (!model.named_parameters().Any(p => p.parameter.requires_grad)) throw new TitanException(ExitCode.Usage, "all parameters are frozen: nothing is left to train; shorten model.frozen_fqns, or see what model.converters freeze");
    }

    /// <summary>Throws when a converter changed nothing: a run that was asked for float8 and gets none must not start.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/>, with the rules that skipped the layers.</exception>
    /// <param name="reports">What the converters did, in their order.</param>
    /// <param name="converters">The converters, with their options.</param>
    public static void ThrowIfNothingConverted(IReadOnlyList<ConversionReport> reports, IReadOnlyList<(string Name, IModelConverter Converter, object Options)> converters)
    {
        foreach (var (report, (name, _, options)) in reports.Zip(converters).Where(r => r.First.Converted == 0))
        {
            // Only what the converter's section has can be loosened.
            var loosen = options is QuantizeOptions ? $"loosen {name}.filter_fqns or " : options.GetType().GetProperties().Any(p => p.CanWrite) ? $"change the options in [{name}] or " : "";
            if (report.Layers.Count == 0)
                throw new TitanException(ExitCode.Plugin, $"{report.Converter} converted nothing: its report lists no layer; drop it from model.converters or report it to its author");
            var rules = report.Layers.GroupBy(l => l.SkippedBy).Select(g => $"{g.Count()} by {g.Key}");
            throw new TitanException(ExitCode.Usage,
                $"{report.Converter} converted 0 of {report.Layers.Count} linears ({string.Join("; ", rules)}); {loosen}drop the converter from model.converters");
        }
    }

    /// <summary>A dtype by its name in the configuration.</summary>
    public static ScalarType TypeOf(string name) => name switch { "bfloat16" => ScalarType.BFloat16, "float16" => ScalarType.Float16, _ => ScalarType.Float32 };

    private static IModelConversion Convert(string name, IModelConverter converter, object options, ModelSlots slots, ConversionContext context)
    {
        var before = slots.All.ToDictionary(s => s.Fqn, s => (s.Slot.Module, (s.Slot.Module as ILinear)?.Weight));
        var multiplied = slots.Experts.SelectMany(e => e.Layer.Weights.Select(w => (Fqn: $"{e.Fqn}.{w.Name}", e.Layer, e.Layer.Matmul))).ToList();
        IModelConversion conversion;
        ConversionReport report;
        try
        {
            conversion = converter.Convert(slots, options, context);
            report = conversion?.Report ?? throw new InvalidOperationException("it returned no report");
        }
        catch (Exception e) when (e is not TitanException)
        {
            var changed = slots.All.Where(IsChanged).ToList();
            var place = changed.Count == 0 ? "before it changed a layer" : $"after {changed.Count} of {slots.All.Count} layers, the last of them {changed[^1].Fqn}";
            var shape = changed.Count > 0 && changed[^1].Slot.Module is ILinear linear ? $" ({linear.Shape})" : "";
            throw new TitanException(ExitCode.Plugin, $"converter '{name}' failed {place}{shape}: {e.GetType().Name}: {e.Message}; drop it from model.converters or report it to its author", e);
        }

        // A report is a claim: a layer that is called converted must have another module or another source of its weight, and experts another matmul.
        var unchanged = report.Layers.Where(l => l.Recipe is not null && !slots.All.Any(s => s.Fqn == l.Fqn && IsChanged(s)) && !multiplied.Any(m => m.Fqn == l.Fqn && m.Matmul != m.Layer.Matmul)).ToList();
        if (unchanged.Count > 0)
            throw new TitanException(ExitCode.Plugin,
                $"converter '{name}' converted {report.Converted - unchanged.Count} of {report.Converted} layers that it reports as converted: {unchanged[0].Fqn} is as it was; drop it from model.converters or report it to its author");
        return conversion!;

        bool IsChanged((string Fqn, ModuleSlot Slot) entry) =>
            !before.TryGetValue(entry.Fqn, out var was) || was.Module != entry.Slot.Module || was.Weight != (entry.Slot.Module as ILinear)?.Weight;
    }

    /// <summary>What block <paramref name="index"/> of a model keeps for its backward.</summary>
    public static BlockCheckpointing CheckpointingOf(ActivationCheckpointSection section, int index) => section.Mode switch
    {
        "full" => BlockCheckpointing.Full,
        "selective" when section.SelectiveAcOption == "op" => BlockCheckpointing.FeedForward,
        "selective" => int.Parse(section.SelectiveAcOption) is var every && (every == 0 || (index + 1) % every == 0) ? BlockCheckpointing.Full : BlockCheckpointing.None,
        _ => BlockCheckpointing.None,
    };

    /// <summary>The parts of a model that are computed again in backward; not one whose input needs no gradient.</summary>
    internal static IReadOnlyList<string> RecomputedParts(LanguageModel model, ActivationCheckpointSection section, IReadOnlySet<string> leading) =>
    [
        .. model.Blocks.Select((b, i) => CheckpointingOf(section, i) switch { BlockCheckpointing.Full => b.Fqn, BlockCheckpointing.FeedForward => $"{b.Fqn}.{(b.Module.named_children().Any(c => c.name == "moe") ? "moe" : "feed_forward")}", _ => null }).OfType<string>()
            .Where(part => !leading.Any(l => l.StartsWith(part + ".", StringComparison.Ordinal))),
    ];

    /// <summary>The layers whose input needs no gradient: those up to the first, in the order of forward, that has a trainable weight.</summary>
    internal static IReadOnlySet<string> LeadingLayers(LanguageModel model)
    {
        var layers = ModelParameters.Layers(model);
        var first = layers.Index().FirstOrDefault(l => l.Item.Layer.Weights.Any(w => w.Source.Parameter.requires_grad)).Index;
        return layers.Take(first + 1).Select(l => l.Fqn).ToHashSet();
    }

    private static void SetCheckpointing(LanguageModel model, ActivationCheckpointSection section)
    {
        for (var i = 0; i < model.Blocks.Count; i++) model.SetCheckpointing(i, CheckpointingOf(section, i));
    }
}
