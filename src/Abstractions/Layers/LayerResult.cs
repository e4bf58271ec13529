using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>
/// What a layer in a slot must return, whoever wrote it. A result that does not fit would be found out later, in an operation that does not know the layer, or by the end of the process.
/// </summary>
internal static class LayerResult
{
    /// <summary>What is wrong with a layer's result; null for nothing.</summary>
    /// <param name="x">The input.</param>
    /// <param name="y">The result.</param>
    /// <param name="features">The last dimension that a linear layer gives; null for a layer of another kind, whose shape is its own.</param>
    public static string? Fault(Tensor x, Tensor? y, long? features)
    {
        if (x.IsInvalid) return "and disposed its input, which is not its own";
        if (y is null) return "null";
        if (y.IsInvalid) return "a tensor that is disposed; move it out of its dispose scope";
        if (ReferenceEquals(x, y) || x.Handle == y.Handle) return "its input itself, which would be disposed twice; return x.alias()";
        if (features is not { } n) return null;
        long[] expected = [.. x.shape[..^1], n];
        if (!y.shape.AsSpan().SequenceEqual(expected)) return $"[{string.Join(", ", y.shape)}]; expected [{string.Join(", ", expected)}] for an input of [{string.Join(", ", x.shape)}]";
        if (y.dtype != x.dtype) return $"{y.dtype}; expected {x.dtype}, the dtype of its input";
        return y.device_type != x.device_type || y.device_index != x.device_index ? $"a tensor on {y.device}; expected {x.device}, where its input is" : null;
    }
}
