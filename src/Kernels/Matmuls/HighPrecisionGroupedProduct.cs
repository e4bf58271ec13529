using System.Collections.Concurrent;
using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.Casts;
using Titan.Kernels.Cuda;
using TorchSharp;
using static TorchSharp.torch;

namespace Titan.Kernels.Matmuls;

/// <summary>
/// The fastest <see cref="GroupedProduct"/> on a device. On the CPU each group's product is written where it belongs in the result, by <see cref="CpuMatmul"/> or by ATen: nothing is filled up or joined. On a GPU of SM90 and later
/// ATen's grouped product reads the ends on the device; elsewhere a loop waits for them.
/// </summary>
public static class HighPrecisionGroupedProduct
{
    /// <summary>The least compute capability of ATen's grouped product.</summary>
    private const int LeastMajor = 9;

    /// <summary>Of bf16 in 16 bytes.</summary>
    private const int Elements = 8;

    private static readonly ConcurrentDictionary<int, bool> Served = [];

    /// <summary>left · right group by group.</summary>
    public static Tensor Multiply(Tensor left, Tensor right, RowGroups groups, bool wide = false)
    {
        GroupedLoop.Check(left, right, groups);
        if (left.device_type == DeviceType.CPU && left.dtype is ScalarType.BFloat16 or ScalarType.Float32) return OnCpu(left, right, groups, wide);
        return IsServedByGpu(left, right, groups) ? OnGpu(left, right, groups) : GroupedLoop.Multiply(HighPrecisionProduct.Multiply, left, right, groups, wide);
    }

    private static Tensor OnCpu(Tensor left, Tensor right, RowGroups groups, bool wide)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        var isOwn = CpuMatmul.IsPreferred;
        var byMatrix = right.dim() == 3;
        long m = byMatrix ? left.Sizes()[0] : left.Sizes()[1];
        var type = wide && isOwn ? ScalarType.Float32 : left.dtype;
        var result = empty(byMatrix ? [m, right.Sizes()[2]] : [groups.Count, left.Sizes()[0], right.Sizes()[1]], dtype: type);
        for (var e = 0; e < groups.Count; e++)
        {
            using var step = NewDisposeScope();
            var (begin, length) = groups[e];
            var target = byMatrix ? result.narrow(0, begin, length) : result.select(0, e);
            if (length == 0)
            {
                if (!byMatrix) target.zero_();
                continue;
            }

            var (a, b) = byMatrix ? (left.narrow(0, begin, length), right.select(0, e)) : (left.narrow(1, begin, length), right.narrow(0, begin, length));
            if (isOwn) CpuMatmul.MultiplyInto(target, new MatmulOperand(a), new MatmulOperand(b));
            else AtenGateway.MatmulInto(a, b, target);
        }

        if (byMatrix) CastKernels.Fused.ClearRows(result, groups);
        return result.MoveToOuterDisposeScope();
    }

    private static bool IsServedByGpu(Tensor left, Tensor right, RowGroups groups) => left is { device_type: DeviceType.CUDA, dtype: ScalarType.BFloat16 } && right.dtype == ScalarType.BFloat16 && left.numel() > 0
        && Served.GetOrAdd(left.device_index, static i => CudaDevices.Capability(i).Major >= LeastMajor) && Fits(left, right, groups);

    /// <summary>
    /// Whether ATen's grouped product takes the layouts: along rows or along columns, in rows of 16 bytes. Where groups divide what lies contiguously, they must be of whole 16 bytes too: it looks on the device, and what does not
    /// fit ends the process's use of the GPU.
    /// </summary>
    internal static bool Fits(Tensor left, Tensor right, RowGroups groups) =>
        HasWholeRows(left) && HasWholeRows(right) && (right.dim() == 3 || groups.Multiple % Elements == 0 || left.Strides()[0] == 1 && right.Strides()[1] == 1);

    private static bool HasWholeRows(Tensor x)
    {
        var strides = x.Strides();
        long inner = strides[^1], outer = strides[^2];
        return inner == 1 && outer >= x.Sizes()[^1] && outer % Elements == 0 || outer == 1 && inner >= x.Sizes()[^2] && inner % Elements == 0;
    }

    private static Tensor OnGpu(Tensor left, Tensor right, RowGroups groups)
    {
        var result = AtenGateway.GroupedMm(left, right, groups.Ends);
        if (right.dim() == 3) CastKernels.Cuda.ClearRows(result, groups);
        return result;
    }
}
