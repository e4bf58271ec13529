using Titan.Abstractions;

namespace Titan.Host.Plugins;

/// <summary>A plugin's converter as the host uses it: its report has no gaps, or the error names plugin and converter; while it takes long, the user is told for whom they wait.</summary>
/// <param name="plugin">The plugin's id.</param>
/// <param name="name">The converter's name.</param>
/// <param name="converter">The plugin's.</param>
internal sealed class CheckedConverter(string plugin, string name, IModelConverter converter) : IModelConverter
{
    // No limit: a converter may measure.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    public Type OptionsType => converter.OptionsType;

    public IModelConversion Convert(ModelSlots model, object options, ConversionContext context)
    {
        var began = TimeProvider.System.GetTimestamp();
        using var impatience = new Timer(
            _ => Console.Error.WriteLine($"titan: warning: converter '{name}' of plugin '{plugin}' has been converting for {TimeProvider.System.GetElapsedTime(began).TotalSeconds:F0} s; the run waits for it"),
            null, Patience, Patience);
        var conversion = converter.Convert(model, options, context);
        var report = conversion?.Report;
        return Gap(report) is { } gap
            ? throw new TitanException(ExitCode.Plugin, $"plugin '{plugin}': converter '{name}': Convert returned {gap}; drop it from model.converters or report it to its author")
            : new CheckedConversion(conversion!, report!);
    }

    /// <summary>The conversion with the report that was looked at.</summary>
    private sealed record CheckedConversion(IModelConversion Own, ConversionReport Report) : IModelConversion
    {
        public IReadOnlyList<PlannedCollective> Plan(StepShape step) => Own.Plan(step);

        public void Initialize(string fqn, TorchSharp.torch.Tensor whole) => Own.Initialize(fqn, whole);

        public IReadOnlyList<LowRankAdapter> Adapters => Own.Adapters;

        public void AfterOptimizerStep() => Own.AfterOptimizerStep();
    }

    private static string? Gap(ConversionReport? report) => report switch
    {
        null => "no report",
        { Converter: null } or { Summary: null } or { Layers: null } or { Notes: null } => "a report with a part that is null",
        _ when report.Layers.Any(l => l is not { Fqn: not null, Backend: not null }) => "a report with a layer that is null or has no name",
        _ when report.Layers.Any(l => l.Recipe is null && l.SkippedBy is null) => "a report with a layer that is neither converted nor skipped by a rule",
        _ when report.Notes.Any(n => n is null) => "a report with a note that is null",
        _ => null,
    };
}
