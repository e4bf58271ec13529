using Titan.Quantization.Scaling;
using static TorchSharp.torch;

namespace Titan.Quantization.Matmuls;

/// <summary><c>emulate = true</c>: dequantise to fp32 and multiply there. Slow; the oracle of the other backends.</summary>
internal sealed class EmulatedMatmul : IFloat8Matmul
{
    public string Name => "emulated fp32";

    public bool ReadsAlongContracted => false;

    public Tensor Multiply(QuantizedTensor left, QuantizedTensor right, ScalarType type, bool fastAccumulation, bool wide = false)
    {
        using var a = left.Dequantize();
        using var b = right.Dequantize();
        using var product = a.mm(b);
        return product.to(wide ? ScalarType.Float32 : type);
    }
}
