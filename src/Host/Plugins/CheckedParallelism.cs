using Titan.Abstractions;

namespace Titan.Host.Plugins;

/// <summary>A plugin's parallelism as the host uses it: its plan and its notes have no gaps, or the error names plugin and dimension.</summary>
/// <param name="plugin">The plugin's id.</param>
/// <param name="dimension">What it serves.</param>
/// <param name="parallelism">The plugin's.</param>
internal sealed class CheckedParallelism(string plugin, MeshDimension dimension, IParallelism parallelism) : IParallelism
{
    public Type OptionsType => parallelism.OptionsType;

    public ParallelismPlan Plan(ParallelizationContext context)
    {
        var plan = parallelism.Plan(context);
        return Gap(plan) is { } gap ? throw Refusal(nameof(Plan), gap) : plan;
    }

    public IAppliedParallelism Apply(ParallelizationContext context)
    {
        var applied = parallelism.Apply(context) ?? throw Refusal(nameof(Apply), "null");
        return new CheckedApplied(applied, PluginCall.Ask(plugin, $"parallelism '{dimension}': {nameof(IAppliedParallelism.Notes)}", () => applied.Notes));
    }

    private static string? Gap(ParallelismPlan? plan) => plan switch
    {
        null => "null",
        { Collectives: null } or { Memory: null } or { MemoryNotes: null } => "a plan with a part that is null",
        _ when plan.Collectives.Any(c => c is not { Group: not null, Verb: not null, Tensors: not null }) => "a plan with a collective that is null, or has no group, verb or tensors",
        _ when plan.Collectives.FirstOrDefault(c => c.Calls < 0 || c.Tensors.Any(t => t.Bytes < 0)) is { } negative => $"a plan with {negative.Calls} calls of {negative.PayloadBytes} bytes of {negative.Verb}",
        _ => null,
    };

    private TitanException Refusal(string member, string returned) =>
        new(ExitCode.Plugin, $"plugin '{plugin}': parallelism '{dimension}': {member} returned {returned}; report it to its author");

    /// <summary>The plugin's, with the notes that were looked at.</summary>
    private sealed record CheckedApplied(IAppliedParallelism Own, IReadOnlyList<string> Notes) : IAppliedParallelism
    {
        public IProcessGroup? VocabularyGroup => Own.VocabularyGroup;

        public void AfterBackward() => Own.AfterBackward();

        public void AfterOptimizerStep() => Own.AfterOptimizerStep();
    }
}
