using static TorchSharp.torch;

namespace Titan.Kernels.ModelOps;

/// <summary>Told, in backward, that a gradient was made and what its amax is. Runs on backward's thread and in its dispose scope: what outlives the call is detached from it.</summary>
/// <param name="gradient">What backward returns.</param>
/// <param name="amax">fp32 [P], the magnitudes whose maximum is the gradient's amax.</param>
public delegate void GradientAmax(Tensor gradient, Tensor amax);
