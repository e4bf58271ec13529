using static TorchSharp.torch;

namespace Titan.Kernels.Cuda;

/// <summary>How kernels' names spell dtypes.</summary>
internal static class KernelTypes
{
    public static string Name(Tensor x, string what) => x.dtype switch
    {
        ScalarType.BFloat16 => "bf16",
        ScalarType.Float32 => "f32",
        _ => throw new ArgumentException($"{what}: x is {x.dtype}; expected fp32 or bf16"),
    };
}
