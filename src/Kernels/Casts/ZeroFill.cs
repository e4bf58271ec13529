using Titan.Kernels.Aten;
using static TorchSharp.torch;

namespace Titan.Kernels.Casts;

/// <summary>Zeros at the end of a dimension. They change no amax and no product.</summary>
public static class ZeroFill
{
    /// <summary>x with a dimension filled up to a multiple; x itself (another handle) where it is one.</summary>
    public static Tensor ToMultiple(Tensor x, int dimension, int multiple) => ToSize(x, dimension, (x.Sizes()[dimension] + multiple - 1) / multiple * multiple);

    /// <summary>x with a dimension filled up to a size. Also for float8, whose zero is byte 0.</summary>
    public static Tensor ToSize(Tensor x, int dimension, long size)
    {
        if (x.Sizes()[dimension] == size) return x.alias();
        var shape = x.shape.ToArray();
        shape[dimension] = size;
        var result = zeros(shape, dtype: x.dtype, device: x.device);
        using var part = result.narrow(dimension, 0, x.Sizes()[dimension]);
        using var written = part.copy_(x);
        return result;
    }
}
