using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.Casts;
using Titan.Kernels.Simd;
using static TorchSharp.torch;

namespace Titan.Kernels.Matmuls;

/// <summary>
/// Matrix products on CPUs that multiply bf16 no faster than fp32 (those without AVX-512): bf16 and float8 operands become fp32 while they are brought into the order of the multiplication, sums are
/// fp32, and the result is rounded once. No fp32 copy of an operand or of the result is made. Other CPUs have instructions that ATen's products use.
/// </summary>
public static class CpuMatmul
{
    /// <summary>Whether this CPU can run it: it has AVX2.</summary>
    public static bool IsSupported => MicroKernel.IsSupported;

    /// <summary>Whether this CPU is one of those.</summary>
    public static bool IsPreferred { get; } = MicroKernel.IsSupported && Matmul.ComputeType(ScalarType.BFloat16, TorchSharp.DeviceType.CPU) == ScalarType.Float32;

    /// <summary>Whether these operands are multiplied here, and not by ATen.</summary>
    public static bool Covers(Tensor left, Tensor right) =>
        IsPreferred && left.dtype == right.dtype && CpuMemory.Covers(left.dtype, left.device_type) && CpuMemory.Covers(right.dtype, right.device_type)
        && left.dim() >= 2 && right.dim() == 2 && left.Sizes()[^1] == right.Sizes()[0];

    /// <summary>left · right in bf16 or fp32, for operands that are covered. Not differentiable.</summary>
    /// <param name="left">[..., R, I].</param>
    /// <param name="right">[I, C] of the same dtype.</param>
    /// <param name="wide">Whether the result is fp32, not rounded to the operands' dtype.</param>
    /// <returns>[..., R, C].</returns>
    public static Tensor Multiply(Tensor left, Tensor right, bool wide = false)
    {
        var type = wide ? ScalarType.Float32 : left.dtype;
        if (left.dim() == 2) return Multiply(new MatmulOperand(left), new MatmulOperand(right), type);
        using var matrix = left.reshape(left.Rows(), left.Sizes()[^1]);
        using var product = Multiply(new MatmulOperand(matrix), new MatmulOperand(right), type);
        return product.view([.. left.shape[..^1], right.Sizes()[1]]);
    }

    /// <summary>left · right, each element times the factor of its row and of its column.</summary>
    /// <param name="left">[R, I].</param>
    /// <param name="right">[I, C].</param>
    /// <param name="type">bf16 or fp32: the dtype of the result.</param>
    /// <param name="leftFactor">fp32, 0-d or [R, 1]; null with <paramref name="rightFactor"/> for none.</param>
    /// <param name="rightFactor">fp32, 0-d or [1, C].</param>
    /// <returns>[R, C].</returns>
    /// <exception cref="ArgumentException">The operands are no matrices that fit, or of a dtype that is not bf16, fp32, e4m3 or e5m2, or not on the CPU.</exception>
    /// <exception cref="PlatformNotSupportedException">The CPU has no AVX2; where <see cref="IsPreferred"/> it has.</exception>
    public static Tensor Multiply(MatmulOperand left, MatmulOperand right, ScalarType type, Tensor? leftFactor = null, Tensor? rightFactor = null)
    {
        if (left.Data.dim() != 2 || right.Data.dim() != 2) throw Misfit(left, right, type);
        var result = empty([left.Data.Sizes()[0], right.Data.Sizes()[1]], dtype: type);
        MultiplyInto(result, left, right, leftFactor, rightFactor);
        return result;
    }

    /// <summary>The same, written to a part of a larger result.</summary>
    /// <param name="result">[R, C] in bf16 or fp32, contiguous; overwritten.</param>
    /// <param name="left">[R, I].</param>
    /// <param name="right">[I, C].</param>
    /// <param name="leftFactor">As above.</param>
    /// <param name="rightFactor">As above.</param>
    public static unsafe void MultiplyInto(Tensor result, MatmulOperand left, MatmulOperand right, Tensor? leftFactor = null, Tensor? rightFactor = null)
    {
        Tensor a = left.Data, b = right.Data;
        var type = result.dtype;
        var fits = a.dim() == 2 && b.dim() == 2 && a.Sizes()[1] == b.Sizes()[0] && type is ScalarType.BFloat16 or ScalarType.Float32
            && result.dim() == 2 && result.Sizes()[0] == a.Sizes()[0] && result.Sizes()[1] == b.Sizes()[1] && result.is_contiguous() && result.device_type == TorchSharp.DeviceType.CPU;
        if (!fits) throw Misfit(left, right, type);
        long rows = a.Sizes()[0], columns = b.Sizes()[1], inner = a.Sizes()[1];
        if (rows == 0 || columns == 0) return;
        if (inner == 0)
        {
            result.zero_();
            return;
        }

        using var scope = NewDisposeScope();
        Tensor? rowFactors = null, columnFactors = null;
        if (leftFactor is not null && rightFactor is not null)
        {
            rowFactors = leftFactor.reshape(-1).expand(rows).contiguous();
            // Whole vectors are read at the last columns.
            columnFactors = ones(columns + MicroKernel.Columns);
            columnFactors.narrow(0, 0, columns).copy_(rightFactor.reshape(-1));
        }

        var product = new BlockedProduct
        {
            Rows = rows, Columns = columns, Inner = inner, Left = left.AsPanels(lanes: 0), Right = right.AsPanels(lanes: 1), Target = CpuMemory.Pointer(result),
            RowFactors = rowFactors is null ? null : (float*)CpuMemory.Pointer(rowFactors), ColumnFactors = columnFactors is null ? null : (float*)CpuMemory.Pointer(columnFactors),
        };
        Run(product, a.dtype, b.dtype, type);
        GC.KeepAlive(left);
        GC.KeepAlive(right);
        GC.KeepAlive(rowFactors);
        GC.KeepAlive(columnFactors);
        GC.KeepAlive(result);
    }

    private static ArgumentException Misfit(MatmulOperand left, MatmulOperand right, ScalarType type) =>
        new($"cannot multiply [{string.Join(", ", left.Data.shape)}] by [{string.Join(", ", right.Data.shape)}] to {type}; expected [R, I], [I, C] and a contiguous result of bf16 or fp32");

    private static void Run(BlockedProduct product, ScalarType left, ScalarType right, ScalarType target)
    {
        if (left == ScalarType.BFloat16) Run<BFloat16Element>(product, right, target);
        else if (left == ScalarType.Float32) Run<Float32Element>(product, right, target);
        else if (left == Float8Format.E4M3.Type) Run<Float8Element<E4M3Codec>>(product, right, target);
        else if (left == Float8Format.E5M2.Type) Run<Float8Element<E5M2Codec>>(product, right, target);
        else throw Unknown(left);
    }

    private static void Run<TLeft>(BlockedProduct product, ScalarType right, ScalarType target) where TLeft : struct, ISourceElement
    {
        if (right == ScalarType.BFloat16) Run<TLeft, BFloat16Element>(product, target);
        else if (right == ScalarType.Float32) Run<TLeft, Float32Element>(product, target);
        else if (right == Float8Format.E4M3.Type) Run<TLeft, Float8Element<E4M3Codec>>(product, target);
        else if (right == Float8Format.E5M2.Type) Run<TLeft, Float8Element<E5M2Codec>>(product, target);
        else throw Unknown(right);
    }

    private static void Run<TLeft, TRight>(BlockedProduct product, ScalarType target) where TLeft : struct, ISourceElement where TRight : struct, ISourceElement
    {
        if (target == ScalarType.BFloat16) product.Run<TLeft, TRight, BFloat16Element>();
        else product.Run<TLeft, TRight, Float32Element>();
    }

    private static ArgumentException Unknown(ScalarType type) => new($"cannot multiply {type}; expected bf16, fp32, e4m3 or e5m2");
}
