namespace Titan.Distributed.Collectives;

/// <summary>How a process joins the others of its job.</summary>
public sealed record DistributedOptions
{
    /// <summary>How long a collective may wait before the first step is done (<c>comm.init_timeout_seconds</c>); then <see cref="DistributedRuntime.SetTimeout"/> changes it.</summary>
    public TimeSpan InitTimeout { get; init; } = TimeSpan.FromSeconds(300);

    /// <summary>
    /// How many collectives of each group are compared between the ranks before they run: same verb, type, bytes, source. The first steps call all that a run calls; later ones
    /// save the additional message.
    /// </summary>
    public int VerifiedCalls { get; init; } = 1000;

    /// <summary>Where the last words of a rank go before it ends the job.</summary>
    public TextWriter Error { get; init; } = Console.Error;
}
