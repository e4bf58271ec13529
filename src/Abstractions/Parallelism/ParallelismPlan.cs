namespace Titan.Abstractions;

/// <summary>What a parallelism will do in a step.</summary>
/// <param name="Collectives">What it will send. What the layers send by themselves, for their scales, is theirs to plan: <see cref="IModelConversion.Plan"/>.</param>
public sealed record ParallelismPlan(IReadOnlyList<PlannedCollective> Collectives)
{
    /// <summary>What it will hold in memory beside parameters, gradients and optimizer states: bytes by name, of the rank with most.</summary>
    public IReadOnlyDictionary<string, long> Memory { get; init; } = new Dictionary<string, long>();

    /// <summary>What the names mean.</summary>
    public IReadOnlyList<string> MemoryNotes { get; init; } = [];
}
