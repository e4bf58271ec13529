namespace Titan.Training.Metrics;

/// <summary>
/// Notices tensors that are left behind: when more are alive after each of many steps than after the one before, something keeps them. A run's own steps leave none.
/// </summary>
/// <param name="warn">Told once.</param>
internal sealed class LeakWatch(Action<string> warn)
{
    /// <summary>Steps in a row that must each leave more tensors alive.</summary>
    public const int Steps = 50;

    private long before = -1;
    private long first;
    private int growing;
    private bool told;

    /// <summary>Call after each step.</summary>
    /// <param name="alive">Tensors alive now.</param>
    public void Observe(long alive)
    {
        if (before < 0 || alive <= before) (growing, first) = (0, alive);
        else growing++;
        before = alive;
        if (told || growing < Steps) return;
        told = true;
        warn($"each of the last {Steps} steps left more tensors alive than the one before, about {(alive - first) / Steps} a step: a plugin or model keeps them, and memory will run out; " +
            "make temporaries in a dispose scope (NewDisposeScope), and look at model.converters one at a time");
    }
}
