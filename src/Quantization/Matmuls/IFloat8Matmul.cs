using Titan.Quantization.Scaling;
using static TorchSharp.torch;

namespace Titan.Quantization.Matmuls;

/// <summary>Multiplies two float8 matrices.</summary>
public interface IFloat8Matmul
{
    /// <summary>Name for the report.</summary>
    string Name { get; }

    /// <summary>Whether it reads the left operand along rows and the right one along columns, and copies an operand that lies otherwise.</summary>
    bool ReadsAlongContracted { get; }

    /// <summary>left · right.</summary>
    /// <param name="left">[R, I]; scale 0-d or [R, 1].</param>
    /// <param name="right">[I, C]; scale 0-d or [1, C].</param>
    /// <param name="type">Dtype of the layer: what the result is rounded to.</param>
    /// <param name="fastAccumulation">Whether tensor cores may accumulate in their reduced precision; others have no such mode.</param>
    /// <param name="wide">Whether the result is fp32 whatever the layer's dtype: not rounded, or rounded less, where the backend has more digits.</param>
    /// <returns>[R, C].</returns>
    Tensor Multiply(QuantizedTensor left, QuantizedTensor right, ScalarType type, bool fastAccumulation, bool wide = false);
}
