namespace Titan.Abstractions;

/// <summary>The weight of a linear layer, unsharded.</summary>
/// <param name="K">Input features.</param>
/// <param name="N">Output features.</param>
public readonly record struct LinearShape(long K, long N)
{
    /// <inheritdoc />
    public override string ToString() => $"{K} x {N}";
}
