namespace Titan.Abstractions;

/// <summary>Whether the calling thread is inside the backward of a <see cref="DifferentiableCall"/>, recomputation included.</summary>
public static class BackwardPass
{
    [ThreadStatic]
    private static int depth;

    /// <summary>True within a backward.</summary>
    public static bool IsRunning => depth > 0;

    internal static void Enter() => depth++;

    internal static void Leave() => depth--;
}
