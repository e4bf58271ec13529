using static TorchSharp.torch;

namespace Titan.Kernels.Cuda;

/// <summary>An argument of a kernel: a tensor's memory (or no memory), or a number.</summary>
internal readonly record struct KernelArgument
{
    private KernelArgument(bool isPointer, Tensor? tensor, ulong bits, int size) => (IsPointer, Tensor, Bits, Size) = (isPointer, tensor, bits, size);

    /// <summary>Whether the kernel gets an address.</summary>
    public bool IsPointer { get; }

    /// <summary>Whose memory; null for a null address or a number.</summary>
    public Tensor? Tensor { get; }

    /// <summary>A number's bytes.</summary>
    public ulong Bits { get; }

    /// <summary>How many of them count.</summary>
    public int Size { get; }

    public static KernelArgument Of(Tensor? tensor) => new(true, tensor, 0, 8);

    public static implicit operator KernelArgument(Tensor tensor) => Of(tensor);

    public static implicit operator KernelArgument(long value) => new(false, null, (ulong)value, 8);

    public static implicit operator KernelArgument(int value) => new(false, null, (uint)value, 4);

    public static implicit operator KernelArgument(double value) => new(false, null, BitConverter.DoubleToUInt64Bits(value), 8);

    public static implicit operator KernelArgument(float value) => new(false, null, BitConverter.SingleToUInt32Bits(value), 4);
}
