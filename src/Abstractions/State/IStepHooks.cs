namespace Titan.Abstractions;

/// <summary>A module of a model that has something to do around each optimizer step, on every rank alike: a router that moves its bias, a running mean.</summary>
public interface IStepHooks
{
    /// <summary>Runs when the gradients are summed and clipped, before the optimizer uses them.</summary>
    void BeforeOptimizerStep(StepContext context) { }

    /// <summary>Runs when the weights have changed, before what is derived from them is made again.</summary>
    void AfterOptimizerStep(StepContext context) { }

    /// <summary>What the hooks of a step send.</summary>
    /// <param name="tokens">As <see cref="StepContext.Tokens"/>.</param>
    IReadOnlyList<PlannedCollective> Plan(IProcessGroup tokens) => [];
}

/// <summary>What a hook is told.</summary>
/// <param name="Step">The step, counted from 1.</param>
/// <param name="Tokens">The ranks that read different tokens: what a forward counted is summed over them.</param>
public sealed record StepContext(long Step, IProcessGroup Tokens);
