using Titan.Abstractions;
using Titan.Kernels.Aten;
using static TorchSharp.torch;

namespace Titan.Kernels.Casts;

/// <content>From float8 back, and products to their scale.</content>
public sealed partial class CudaCasts
{
    /// <summary>The exact bf16 values of float8 elements.</summary>
    public Tensor Decode(Tensor x) => Decode(x, ScalarType.BFloat16);

    /// <summary>The exact values of float8 elements in bf16 or fp32.</summary>
    public Tensor Decode(Tensor x, ScalarType type)
    {
        using var scope = NewDisposeScope();
        var format = Source8(x, "decode");
        var to = Target(type, "decode");
        var result = New(x.Sizes(), type, x);
        if (x.numel() > 0)
            launcher.Launch(
                "decode", $"decode_{format}_{to}", x.device, Flat(x, Lanes(result) * 8),
                x.contiguous(), x.numel(), result);
        return result.MoveToOuterDisposeScope();
    }

    /// <summary>The values of elements in blocks: element * 2^(byte - 127), exact but for magnitudes that <paramref name="type"/> cannot hold.</summary>
    /// <param name="x">[R, C] float8.</param>
    /// <param name="scales">e8m0 [R / H, C / W], for blocks of H x W elements.</param>
    /// <param name="type">bf16 or fp32.</param>
    public Tensor DecodeBlocks(Tensor x, Tensor scales, ScalarType type)
    {
        using var scope = NewDisposeScope();
        var format = Source8(x, "decode of blocks");
        var to = Target(type, "decode of blocks");
        if (x.dim() != 2) throw new ArgumentException($"decode of blocks: x has {x.dim()} dimensions; expected [R, C]");
        var result = New(x.Sizes(), type, x);
        if (x.numel() == 0) return result.MoveToOuterDisposeScope();
        long rows = x.Sizes()[0], columns = x.Sizes()[1];
        if (scales.dtype != Float8Format.E8M0.Type || scales.device_type != x.device_type || scales.dim() != 2 || scales.numel() == 0
            || rows % scales.Sizes()[0] != 0 || columns % scales.Sizes()[1] != 0)
            throw new ArgumentException(
                $"decode of blocks: scales {scales.dtype} [{string.Join(", ", scales.shape)}] on {scales.device} do not divide x [{rows}, {columns}] on {x.device} into blocks; expected e8m0");
        launcher.Launch(
            "decode_blocks", $"decode_blocks_{format}_{to}", x.device, Rows(x, Lanes(result), 8),
            x.contiguous(), scales.contiguous(), rows / scales.Sizes()[0], columns / scales.Sizes()[1], rows, columns, result);
        return result.MoveToOuterDisposeScope();
    }

    /// <summary>product * (left * right) in fp32, rounded once.</summary>
    /// <param name="product">[R, C] fp32 or bf16; overwritten where it is contiguous and of the result's dtype.</param>
    /// <param name="left">fp32: one, or [R, 1].</param>
    /// <param name="right">fp32: one, or [1, C].</param>
    /// <param name="type">bf16 or fp32.</param>
    public Tensor Rescale(Tensor product, Tensor left, Tensor right, ScalarType type)
    {
        using var scope = NewDisposeScope();
        var (source, from) = Matrix(product, "rescale");
        var to = Target(type, "rescale");
        long rows = product.Sizes()[0], columns = product.Sizes()[1];
        var a = Factors(left, [rows, 1], product);
        var b = Factors(right, [1, columns], product);
        var result = product.dtype == type && product.is_contiguous() ? product.alias() : New(product.Sizes(), type, product);
        if (product.numel() > 0)
            launcher.Launch(
                "rescale", $"rescale_{from}_{to}", product.device, Rows(product, Math.Min(Lanes(product), Lanes(result))),
                source, a.Values, a.Step, b.Values, b.Step, rows, columns, result);
        return result.MoveToOuterDisposeScope();
    }

    private static (Tensor Values, long Step) Factors(Tensor x, long[] each, Tensor product)
    {
        if (x.dtype != ScalarType.Float32 || x.device_type != product.device_type)
            throw new ArgumentException($"rescale: a factor is {x.dtype} on {x.device}; expected fp32 on {product.device}");
        if (x.numel() == 1) return (x, 0);
        if (x.Sizes().SequenceEqual(each)) return (x.contiguous(), 1);
        throw new ArgumentException($"rescale: factors [{string.Join(", ", x.shape)}] do not fit product [{string.Join(", ", product.shape)}]; expected one, or [{string.Join(", ", each)}]");
    }

    private string Source8(Tensor x, string what)
    {
        CheckDevice(x, what);
        return x.dtype == Float8Format.E4M3.Type ? "e4m3" : x.dtype == Float8Format.E5M2.Type ? "e5m2"
            : throw new ArgumentException($"{what}: x is {x.dtype}; expected float8 e4m3 or e5m2");
    }

    private static string Target(ScalarType type, string what) => type switch
    {
        ScalarType.BFloat16 => "bf16",
        ScalarType.Float32 => "f32",
        _ => throw new ArgumentException($"{what}: cannot write {type}; expected bf16 or fp32"),
    };
}
