using Titan.Abstractions;

namespace Titan.Training.Parallel;

/// <summary>What serves an axis of a job's mesh.</summary>
/// <param name="Axis">The axis.</param>
/// <param name="Plugin">Whose it is, for messages.</param>
/// <param name="Parallelism">The parallelism.</param>
/// <param name="Options">Its options.</param>
public sealed record JobParallelism(MeshAxis Axis, string Plugin, IParallelism Parallelism, object Options);
