using static TorchSharp.torch;

namespace Titan.Kernels.Aten;

/// <summary>
/// Sizes and strides where libtorch has them. TorchSharp's <c>shape</c> and <c>stride()</c> make an array by a call back from native code, which takes microseconds: as long as a
/// kernel's launch, and a step asks a thousand times.
/// </summary>
public static unsafe class TensorLayout
{
    /// <summary>The sizes: memory of the tensor itself, valid as long as the tensor is in use and nobody disposes or resizes it.</summary>
    public static ReadOnlySpan<long> Sizes(this Tensor tensor)
    {
        var handle = tensor.Handle;
        if (Shim.Dimensions(handle, out var dimensions) != 0 || Shim.Sizes(handle, out var sizes) != 0) throw new InvalidOperationException("the sizes of a tensor are not known");
        GC.KeepAlive(tensor);
        return new ReadOnlySpan<long>(sizes, checked((int)dimensions));
    }

    /// <summary>How many rows the tensor has as a matrix of its last dimension: the product of all sizes but the last.</summary>
    public static long Rows(this Tensor tensor)
    {
        var rows = 1L;
        foreach (var size in tensor.Sizes()[..^1]) rows *= size;
        return rows;
    }

    /// <summary>The strides, in elements; likewise.</summary>
    public static ReadOnlySpan<long> Strides(this Tensor tensor)
    {
        var handle = tensor.Handle;
        if (Shim.Dimensions(handle, out var dimensions) != 0 || Shim.Strides(handle, out var strides) != 0) throw new InvalidOperationException("the strides of a tensor are not known");
        GC.KeepAlive(tensor);
        return new ReadOnlySpan<long>(strides, checked((int)dimensions));
    }
}
