using Titan.Abstractions;

namespace Titan.Training.Parallel;

/// <summary>What serves a dimension of a job's mesh.</summary>
/// <param name="Dimension">The dimension.</param>
/// <param name="Plugin">Whose it is, for messages.</param>
/// <param name="Parallelism">The parallelism.</param>
/// <param name="Options">Its options.</param>
public sealed record JobParallelism(MeshDimension Dimension, string Plugin, IParallelism Parallelism, object Options);
