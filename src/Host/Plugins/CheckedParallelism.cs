using Titan.Abstractions;

namespace Titan.Host.Plugins;

/// <summary>A plugin's parallelism as the host uses it: its notes are not null, or the error names plugin and dimension.</summary>
/// <param name="plugin">The plugin's id.</param>
/// <param name="dimension">What it serves.</param>
/// <param name="parallelism">The plugin's.</param>
internal sealed class CheckedParallelism(string plugin, string dimension, IParallelism parallelism) : IParallelism
{
    public IReadOnlyList<string> Notes => PluginCall.Ask(plugin, $"parallelism '{dimension}': {nameof(Notes)}", () => parallelism.Notes);

    public void Apply(ParallelizationContext context) => parallelism.Apply(context);

    public void AfterBackward() => parallelism.AfterBackward();

    public void AfterOptimizerStep() => parallelism.AfterOptimizerStep();
}
