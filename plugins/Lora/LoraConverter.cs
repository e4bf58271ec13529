using System.IO.Enumeration;
using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.Lora;

/// <summary>Low-rank adapters (LoRA, Hu et al., 2021) around linear layers, plain or converted, of a model that is frozen.</summary>
[ExportConverter("lora", Status = ExportStatus.Alpha, Summary = "low-rank adapters around linear layers; all other weights are frozen")]
public sealed class LoraConverter : IModelConverter
{
    /// <inheritdoc />
    public Type OptionsType => typeof(LoraOptions);

    /// <inheritdoc />
    public IModelConversion Convert(ModelSlots model, object options, ConversionContext context)
    {
        var lora = (LoraOptions)options;
        var names = model.Linears.Select(l => l.Fqn).Where(n => !IsRouter(n)).ToList();
        if (lora.TargetModules.FirstOrDefault(t => !names.Exists(n => IsTarget(t, n))) is { } unknown)
            throw new TitanException(ExitCode.Usage, $"lora.target_modules = '{unknown}': no linear layer has such a name; there are {string.Join(", ", names)}");
        model.Freeze();
        var layers = new List<LayerConversion>();
        foreach (var (fqn, slot, linear) in model.Linears)
        {
            var skippedBy = IsRouter(fqn) ? "router" : lora.TargetModules.Any(t => IsTarget(t, fqn)) ? null : "target_modules";
            if (skippedBy is null) slot.Wrap(new AdaptedLinear(slot.Module, lora), "lora");
            layers.Add(new LayerConversion(fqn, linear.Shape, skippedBy is null ? $"lora/{lora.Rank}" : null, skippedBy, "high precision"));
        }

        return new Conversion(lora, new ConversionReport("lora", $"rank {lora.Rank}, alpha {lora.Alpha}", ExportStatus.Alpha, layers, []));
    }

    // What chooses experts is no linear layer in other programs, and its choice is balanced for the weights that it has.
    private static bool IsRouter(string fqn) => fqn.Split('.').Contains("router");

    private static bool IsTarget(string target, string fqn) => target.Contains('*')
        ? FileSystemName.MatchesSimpleExpression(target, fqn, ignoreCase: false)
        : fqn == target || fqn.EndsWith("." + target, StringComparison.Ordinal);

    private sealed class Conversion(LoraOptions lora, ConversionReport report) : IModelConversion
    {
        public ConversionReport Report => report;

        public IReadOnlyList<LowRankAdapter> Adapters =>
        [
            .. report.Layers.Where(l => l.Recipe is not null)
                .Select(l => new LowRankAdapter($"{l.Fqn}.weight", $"{l.Fqn}.{AdaptedLinear.A}.weight", $"{l.Fqn}.{AdaptedLinear.B}.weight", lora.Rank, lora.Alpha)),
        ];

        // As PEFT: A is uniform by Kaiming, and B is zero, so that the first step sees the model that was loaded.
        public void Initialize(string fqn, Tensor whole)
        {
            var bound = 1 / Math.Sqrt(whole.shape[1]);
            if (fqn.EndsWith($"{AdaptedLinear.B}.weight", StringComparison.Ordinal)) nn.init.zeros_(whole);
            else nn.init.uniform_(whole, -bound, bound);
        }
    }
}
