using Titan.Abstractions;
using Titan.Kernels.Casts;
using Titan.Kernels.Tests.Cuda;
using static TorchSharp.torch;

namespace Titan.Kernels.Tests.Casts;

/// <summary>The casts that make their own scales, against the chain written out in ATen operations: elements, scales and inverses to the bit.</summary>
internal static class ScaledCastCases
{
    private static readonly OperandLayout[] Layouts = Enum.GetValues<OperandLayout>();

    /// <summary>All formats and roundings of a scale per tensor, row or column.</summary>
    public static IEnumerable<CastTarget> Targets =>
        from format in new[] { Float8Format.E4M3, Float8Format.E5M2 }
        from rounding in new[] { ScaleRounding.None, ScaleRounding.PowerOfTwo }
        select new CastTarget(format, rounding);

    /// <summary>One scale, with the amax looked for and with parts of it given.</summary>
    /// <param name="kernels">What casts.</param>
    /// <param name="x">What is cast.</param>
    /// <param name="target">To what.</param>
    /// <param name="what">For messages.</param>
    /// <param name="amaxes">Whether amaxes that are not x's own are tried too.</param>
    public static void CheckTensor(ICastKernels kernels, Tensor x, CastTarget target, string what, bool amaxes = true)
    {
        foreach (var layout in Layouts)
        {
            Check(kernels.CastTensor(x, null, target, layout), Expected(x, Amax(x), target), target, layout, $"{what}, one scale, {layout}");
            using var parts = kernels.AmaxParts(x);
            Assert.True(parts.dim() == 1 && parts.numel() > 0 && parts.dtype == ScalarType.Float32, $"{what}: parts [{string.Join(", ", parts.shape)}]");
            Check(kernels.CastTensor(x, parts, target, layout), Expected(x, Amax(x), target), target, layout, $"{what}, its own parts, {layout}");
            if (!amaxes) continue;
            // Amaxes that are not x's own: of a tensor that other ranks hold parts of. 300 of them are more than a block has threads.
            foreach (var count in new[] { 1, 3, 300 })
            {
                var given = (arange(count).to(ScalarType.Float32) * 977).remainder(311) + 0.3f;
                Check(kernels.CastTensor(x, given, target, layout), Expected(x, given.max(), target), target, layout, $"{what}, {count} parts, {layout}");
            }

            var shared = tensor(2.5f);
            Check(kernels.CastTensor(x, shared, target, layout), Expected(x, shared, target), target, layout, $"{what}, an amax without dimensions, {layout}");
        }

        if (!amaxes) return;
        foreach (var special in new[] { 0f, 1e-13f, 1e-12f, float.Epsilon, 3e38f, float.PositiveInfinity, float.NaN })
        {
            var parts = tensor(new[] { 0f, special, 0f });
            Check(kernels.CastTensor(x, parts, target), Expected(x, tensor(special), target), target, OperandLayout.Rows, $"{what}, amax {special}");
        }
    }

    /// <summary>A scale per row, per column, and both at once.</summary>
    public static void CheckAlong(ICastKernels kernels, Tensor x, CastTarget target, CastTarget other, string what)
    {
        Rows(kernels.CastRows(x, target), target, "a scale per row");
        foreach (var layout in Layouts)
        {
            Columns(kernels.CastColumns(x, target, layout), target, layout, "a scale per column");
            var (rows, columns) = kernels.CastRowsAndColumns(x, target, other, layout);
            Rows(rows, target, "both, per row");
            Columns(columns, other, layout, "both, per column");
        }

        void Rows(ScaledCast actual, CastTarget t, string how)
        {
            Check(actual, Expected(x, x.abs().amax([1], keepdim: true), t), t, OperandLayout.Rows, $"{what}, {how}");
            if (actual.AmaxParts is { } parts) Samples.AssertSameFloats(Amax(x), ScaleMath.AmaxOf(parts), $"{what}, {how}: parts of the amax");
        }

        void Columns(ScaledCast actual, CastTarget t, OperandLayout layout, string how) =>
            Check(actual, Expected(x, x.abs().amax([0], keepdim: true), t), t, layout, $"{what}, {how}, {layout}");
    }

    /// <summary>Blocks along rows, along columns and both, plain and swizzled; also where the rows do not fill a block.</summary>
    public static void CheckBlocks(ICastKernels kernels, Tensor x, CastTarget rows, CastTarget columns, string what)
    {
        foreach (var swizzled in new[] { false, true })
        {
            Block(kernels.CastBlocks(x, 32, rows, null, swizzled), true, false);
            Block(kernels.CastBlocks(x, 32, null, columns, swizzled), false, true);
            Block(kernels.CastBlocks(x, 32, rows, columns, swizzled), true, true);

            void Block((BlockCast? Rows, BlockCast? Columns) actual, bool wantsRows, bool wantsColumns)
            {
                Assert.Equal((wantsRows, wantsColumns), (actual.Rows is not null, actual.Columns is not null));
                if (actual.Rows is { } r) One(r, x, rows, 1);
                if (actual.Columns is { } c) One(c, x, columns, 0);
            }

            void One(BlockCast actual, Tensor source, CastTarget target, int dimension)
            {
                var filled = ZeroFill.ToMultiple(source, dimension, 32);
                var (data, scale) = CastKernels.Plain.CastBlocks(filled, dimension, 32, target.Format, target.Rounding);
                var name = $"{what}, blocks along {(dimension == 1 ? "rows" : "columns")} {target}";
                Samples.AssertSameCodes(data, actual.Data, name);
                Assert.Equal(scale.shape, actual.Scale.shape);
                Assert.Equal(Samples.Bytes(scale), Samples.Bytes(actual.Scale));
                Assert.Equal(swizzled, actual.Swizzled is not null);
                if (swizzled) Assert.Equal(Samples.Bytes(ScaleSwizzle.ToBlocked(dimension == 1 ? scale : scale.t())), Samples.Bytes(actual.Swizzled!));
            }
        }
    }

    private static Tensor Amax(Tensor x) => x.numel() == 0 ? zeros([]) : x.abs().max();

    private static (Tensor Data, Tensor Scale) Expected(Tensor x, Tensor amax, CastTarget target)
    {
        var scale = (tensor(target.Format.Max, dtype: ScalarType.Float64) / amax.to(ScalarType.Float64).clamp(min: 1e-12)).to(ScalarType.Float32);
        if (target.Rounding == ScaleRounding.PowerOfTwo) scale = exp2(scale.log2().floor());
        return (x.to(ScalarType.Float32).mul(scale).clamp(-target.Format.Max, target.Format.Max).to(target.Format.Type), scale);
    }

    private static void Check(ScaledCast actual, (Tensor Data, Tensor Scale) expected, CastTarget target, OperandLayout layout, string what)
    {
        what = $"{what}, {target}";
        Samples.AssertSameFloats(expected.Scale, actual.Scale, what + ", scale");
        Samples.AssertSameFloats(1 / expected.Scale, actual.Inverse, what + ", inverse");
        Assert.True(actual.Scale.is_contiguous() && actual.Inverse.is_contiguous(), what);
        Assert.Equal((layout != OperandLayout.Columns, layout != OperandLayout.Rows), (actual.Data is not null, actual.Transposed is not null));
        if (actual.Data is { } data)
        {
            Assert.True(data.is_contiguous(), what);
            Samples.AssertSameCodes(expected.Data, data, what);
        }

        if (actual.Transposed is { } transposed)
        {
            Assert.True(transposed.is_contiguous(), what);
            Samples.AssertSameCodes(expected.Data.t(), transposed, what + ", transposed");
        }

        Samples.AssertSameCodes(expected.Data, actual.Elements(), what);
    }
}
