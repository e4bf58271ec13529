using Titan.Abstractions;

namespace Titan.Host.Plugins;

/// <summary>A plugin's parallelism as the host uses it: its plan, its notes and its share of a batch have no gaps, or the error names plugin and axis.</summary>
/// <param name="plugin">The plugin's id.</param>
/// <param name="axis">What it serves.</param>
/// <param name="parallelism">The plugin's.</param>
internal sealed class CheckedParallelism(string plugin, string axis, IParallelism parallelism) : IParallelism
{
    private readonly string plugin = plugin;
    private readonly string axis = axis;

    public Type OptionsType => parallelism.OptionsType;

    public ParallelismPlan Plan(ParallelizationContext context)
    {
        var plan = parallelism.Plan(context);
        return Gap(plan) is { } gap ? throw Refusal(nameof(Plan), gap) : plan;
    }

    public IAppliedParallelism Apply(ParallelizationContext context) => new CheckedApplied(this, parallelism.Apply(context) ?? throw Refusal(nameof(Apply), "null"));

    private static string? Gap(ParallelismPlan? plan) => plan switch
    {
        null => "null",
        { Collectives: null } or { Memory: null } or { MemoryNotes: null } => "a plan with a part that is null",
        _ when plan.Collectives.Any(c => c is not { Group: not null, Verb: not null, Tensors: not null }) => "a plan with a collective that is null, or has no group, verb or tensors",
        _ when plan.Collectives.FirstOrDefault(c => c.Calls < 0 || c.Tensors.Any(t => t.Bytes < 0)) is { } negative => $"a plan with {negative.Calls} calls of {negative.PayloadBytes} bytes of {negative.Verb}",
        _ => null,
    };

    private TitanException Refusal(string member, string returned) =>
        new(ExitCode.Plugin, $"plugin '{plugin}': parallelism '{axis}': {member} returned {returned}; report it to its author");

    private sealed class CheckedApplied(CheckedParallelism definition, IAppliedParallelism own) : IAppliedParallelism
    {
        public IReadOnlyList<string> Notes { get; } = PluginCall.Ask(definition.plugin, $"parallelism '{definition.axis}': {nameof(Notes)}", () => own.Notes);

        public IProcessGroup? VocabularyGroup => own.VocabularyGroup;

        // On the thread that trains: what it makes lives in its dispose scope.
        public ModelBatch ShareOf(ModelBatch batch)
        {
            var share = own.ShareOf(batch);
            return (share is null ? "nothing" : share.Problem) is { } problem ? throw definition.Refusal(nameof(ShareOf), problem) : share!;
        }

        public void AfterBackward() => own.AfterBackward();

        public void AfterOptimizerStep() => own.AfterOptimizerStep();

        public IReadOnlyList<UnplannedBytes> TakeUnplanned() => own.TakeUnplanned() ?? throw definition.Refusal(nameof(TakeUnplanned), "null");
    }
}
