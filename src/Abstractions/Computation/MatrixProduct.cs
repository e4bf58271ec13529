using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>A product of matrices in high precision, left · right; not differentiable.</summary>
/// <param name="left">[..., R, I].</param>
/// <param name="right">[I, C] of the same dtype.</param>
/// <param name="wide">Whether the sums are wanted as they are, in fp32. Where the device's product has them only rounded, the result is of the operands' dtype.</param>
/// <returns>[..., R, C] of the operands' dtype, or of fp32.</returns>
public delegate Tensor MatrixProduct(Tensor left, Tensor right, bool wide = false);
