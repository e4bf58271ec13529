using static TorchSharp.torch;

namespace Titan.Quantization.Scaling;

/// <summary>One side of a matmul after its cast: float8 with scales, or a plain tensor.</summary>
internal sealed record Operand(QuantizedTensor? Quantized, Tensor? Plain) : IDisposable
{
    /// <summary>The transposed operand; shares memory.</summary>
    public Operand Transpose() => new(Quantized?.Transpose(), Plain?.t());

    /// <summary>The same operand under handles of its own.</summary>
    public Operand Alias() => new(Quantized?.Alias(), Plain?.alias());

    /// <summary>Takes the tensors out of their dispose scopes.</summary>
    public void Detach()
    {
        foreach (var tensor in Quantized?.Tensors() ?? []) tensor.DetachFromDisposeScope();
        Plain?.DetachFromDisposeScope();
    }

    public Tensor InHighPrecision(ScalarType type)
    {
        if (Plain is { } plain) return plain.dtype == type ? plain.alias() : plain.to(type);
        using var wide = Quantized!.Dequantize();
        return wide.to(type);
    }

    public void Dispose()
    {
        Quantized?.Dispose();
        Plain?.Dispose();
    }
}
