namespace Titan.Quantization.Matmuls;

/// <summary>Counts the float8 matmuls that were really executed, so that a layer which was converted but did not run in float8 is seen.</summary>
public sealed class MatmulCounter
{
    private long count;

    /// <summary>Adds one.</summary>
    public void Increment() => Interlocked.Increment(ref count);

    /// <summary>The number since the last call, which starts a new count.</summary>
    public long Take() => Interlocked.Exchange(ref count, 0);
}
