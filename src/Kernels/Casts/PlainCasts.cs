using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Kernels.Casts;

/// <summary>The casts as ATen operations, step by step as the reference implementation does them.</summary>
internal sealed class PlainCasts : ICastKernels
{
    public string Name => "plain";

    public Tensor Amax(Tensor x)
    {
        using var scope = NewDisposeScope();
        if (x.numel() == 0) return zeros([], dtype: ScalarType.Float32, device: x.device).MoveToOuterDisposeScope();
        return x.abs().max().to(ScalarType.Float32).MoveToOuterDisposeScope();
    }

    public Tensor Cast(Tensor x, Tensor scale, Float8Format format)
    {
        using var scope = NewDisposeScope();
        // libtorch's cast does not saturate: clamp first. clamp keeps NaN.
        return x.to(ScalarType.Float32).mul(scale).clamp(-format.Max, format.Max).to(format.Type).contiguous().MoveToOuterDisposeScope();
    }

    public Tensor Decode(Tensor x) => x.to(ScalarType.BFloat16);
}
