using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using System.IO.Enumeration;
using Titan.Abstractions;
using TorchSharp;
using static TorchSharp.torch;

namespace Acme;

public sealed record LoraOptions
{
    [Range(1, 4096)]
    [Description("Columns of B and rows of A.")]
    public int Rank { get; init; } = 8;

    [Description("B A counts alpha / rank.")]
    public double Alpha { get; init; } = 16;

    [MinLength(1)]
    [Description("Linear layers that get adapters, by name; * stands for any characters.")]
    public IReadOnlyList<string> Targets { get; init; } = ["layers.*"];
}

/// <summary>Low-rank adapters (Hu et al., 2021) on a model that is frozen.</summary>
[ExportConverter("lora", Status = ExportStatus.Prototype, Summary = "low-rank adapters around linear layers; all other weights are frozen")]
public sealed class Lora : IModelConverter
{
    public Type OptionsType => typeof(LoraOptions);

    public IModelConversion Convert(ModelSlots model, object options, ConversionContext context)
    {
        var lora = (LoraOptions)options;
        var names = model.Linears.Select(l => l.Fqn).ToList();
        if (lora.Targets.FirstOrDefault(t => !names.Exists(n => IsTarget(t, n))) is { } unknown)
            throw new TitanException(ExitCode.Usage, $"lora.targets = '{unknown}': no linear layer has such a name; there are {string.Join(", ", names)}");
        model.Freeze();
        var layers = new List<LayerConversion>();
        foreach (var (fqn, slot, linear) in model.Linears)
        {
            var isTarget = lora.Targets.Any(t => IsTarget(t, fqn));
            if (isTarget) slot.Wrap(new AdaptedLinear(slot.Module, lora), "lora");
            layers.Add(new LayerConversion(fqn, linear.Shape, isTarget ? $"lora/{lora.Rank}" : null, isTarget ? null : "targets", "high precision"));
        }

        return new Conversion(new ConversionReport("lora", $"rank {lora.Rank}, alpha {lora.Alpha}", ExportStatus.Prototype, layers, []));
    }

    private static bool IsTarget(string pattern, string fqn) => FileSystemName.MatchesSimpleExpression(pattern, fqn, ignoreCase: false);

    private sealed class Conversion(ConversionReport report) : IModelConversion
    {
        public ConversionReport Report => report;

        // B is zero, so that the first step sees the model that was loaded.
        public void Initialize(string fqn, Tensor whole)
        {
            var bound = 1 / Math.Sqrt(whole.shape[1]);
            if (fqn.EndsWith("lora_b.weight", StringComparison.Ordinal)) nn.init.zeros_(whole);
            else nn.init.uniform_(whole, -bound, bound);
        }
    }

    /// <summary>y = W x + (alpha / rank) B A x.</summary>
    private sealed class AdaptedLinear : LinearWrapper
    {
        private readonly Linear a, b;
        private readonly double scale;

        public AdaptedLinear(nn.Module<Tensor, Tensor> inner, LoraOptions options) : base(nameof(AdaptedLinear), inner)
        {
            (a, b, scale) = (new Linear(Shape.K, options.Rank, device: META), new Linear(options.Rank, Shape.N, device: META), options.Alpha / options.Rank);
            register_module("lora_a", a);
            register_module("lora_b", b);
        }

        public override Activation Forward(Activation x)
        {
            using var scope = NewDisposeScope();
            return new Activation((RunInner(x) + scale * b.call(a.call(x.Values))).MoveToOuterDisposeScope());
        }
    }
}
