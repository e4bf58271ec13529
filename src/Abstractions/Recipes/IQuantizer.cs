using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>A cast of a plugin's own, for what <see cref="OperandCast.Scaled"/> cannot say.</summary>
public interface IQuantizer
{
    /// <summary>Short name for reports.</summary>
    string Name { get; }

    /// <summary>
    /// Casts and returns what the matmul will see.
    /// </summary>
    /// <param name="operand">[R, C] in bf16 or fp32. The matmul contracts dimension 1.</param>
    /// <returns>[R, C] of the operand's dtype holding the values after quantisation; owned by the caller. Non-finite input must stay non-finite.</returns>
    Tensor QuantizeDequantize(Tensor operand);
}
