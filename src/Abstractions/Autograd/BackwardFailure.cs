using System.Runtime.ExceptionServices;

namespace Titan.Abstractions;

/// <summary>
/// Holds the first exception of a custom backward until the trainer can throw it. An exception that leaves a C# backward crosses native code and kills the process,
/// so <see cref="DifferentiableCall"/> keeps it here instead.
/// </summary>
public static class BackwardFailure
{
    private static ExceptionDispatchInfo? pending;

    internal static void Keep(Exception exception) => Interlocked.CompareExchange(ref pending, ExceptionDispatchInfo.Capture(exception), null);

    /// <summary>Throws what a backward failed with, as what it was. Call after every <c>backward()</c>; the gradients of that step are incomplete and must not be used.</summary>
    public static void ThrowIfAny() => Interlocked.Exchange(ref pending, null)?.Throw();
}
