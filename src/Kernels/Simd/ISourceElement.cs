using System.Runtime.Intrinsics;

namespace Titan.Kernels.Simd;

/// <summary>An element type that kernels read as fp32.</summary>
internal unsafe interface ISourceElement
{
    static abstract int Size { get; }

    static abstract float Load(byte* source, long index);

    /// <summary>8 consecutive elements.</summary>
    static abstract Vector256<float> Load8(byte* source, long index);
}
