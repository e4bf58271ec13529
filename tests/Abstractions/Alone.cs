namespace Titan.Abstractions.Tests;

/// <summary>Tests that count what is alive in the whole process.</summary>
[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
public sealed class Alone;
