using System.Runtime.Intrinsics;

namespace Titan.Kernels.Simd;

/// <summary>How wide the fused casts work. All give the same bits; tests run each.</summary>
internal enum SimdPath
{
    Portable,
    Vector256,
    Vector512,
}

internal static class SimdPaths
{
    /// <summary>The widest that this machine has in hardware.</summary>
    public static SimdPath Best { get; } =
        Vector512.IsHardwareAccelerated ? SimdPath.Vector512 : Vector256.IsHardwareAccelerated ? SimdPath.Vector256 : SimdPath.Portable;
}
