using Titan.Abstractions;

namespace Titan.Host.Plugins;

/// <summary>
/// A plugin's parallelism as the host uses it: its notes and its share of a batch have no gaps, or the error names plugin and axis.
/// </summary>
/// <param name="plugin">The plugin's id.</param>
/// <param name="axis">What it serves.</param>
/// <param name="parallelism">The plugin's.</param>
internal sealed class CheckedParallelism(string plugin, MeshAxis axis, IParallelism parallelism) : IParallelism
{
    public IReadOnlyList<string> Notes => PluginCall.Ask(plugin, $"parallelism '{axis.Name()}': {nameof(Notes)}", () => parallelism.Notes);

    public void Apply(ParallelizationContext context) => parallelism.Apply(context);

    // On the thread that trains: what it makes lives in its dispose scope.
    public ModelBatch ShareOf(ModelBatch batch)
    {
        var share = parallelism.ShareOf(batch);
        return (share is null ? "nothing" : share.Problem) is { } problem
            ? throw new TitanException(ExitCode.Plugin,
                $"plugin '{plugin}': parallelism '{axis.Name()}': {nameof(ShareOf)} returned {problem}; report it to its author")
            : share!;
    }

    public void AfterBackward() => parallelism.AfterBackward();

    public void AfterOptimizerStep() => parallelism.AfterOptimizerStep();
}
