using Titan.Abstractions;
using Titan.Kernels.Casts;
using Titan.Kernels.Tests.Cuda;
using static TorchSharp.torch;

namespace Titan.Kernels.Tests.Casts;

/// <summary>A cast with scales per group and column, against a cast of each group's rows by itself: elements, scales and inverses to the bit.</summary>
internal static class GroupCastCases
{
    private static readonly OperandLayout[] Layouts = Enum.GetValues<OperandLayout>();

    public static void Check(ICastKernels kernels, Tensor x, long[] ends, CastTarget target, string what)
    {
        what = $"{what} [{string.Join(", ", x.shape)}] in {string.Join(", ", ends)}, {target}";
        var groups = RowGroups.Of(ends, CPU);
        Tensor data = zeros(x.shape, dtype: target.Format.Type), scale = zeros(ends.Length, x.shape[1]), inverse = zeros_like(scale);
        for (var e = 0; e < ends.Length; e++)
        {
            var (begin, length) = groups[e];
            using var own = CastKernels.Plain.CastColumns(x.narrow(0, begin, length), target, OperandLayout.Rows);
            if (length > 0) data.narrow(0, begin, length).copy_(own.Data!);
            scale[e].copy_(own.Scale[0]);
            inverse[e].copy_(own.Inverse[0]);
        }

        foreach (var layout in Layouts)
        {
            using var actual = kernels.CastGroups(x, groups, target, layout);
            Samples.AssertSameFloats(scale, actual.Scale, $"{what}, {layout}, scale");
            Samples.AssertSameFloats(inverse, actual.Inverse, $"{what}, {layout}, inverse");
            Assert.Equal((layout != OperandLayout.Columns, layout != OperandLayout.Rows), (actual.Data is not null, actual.Transposed is not null));
            if (actual.Data is { } rows) Samples.AssertSameCodes(data, rows, $"{what}, {layout}");
            if (actual.Transposed is { } columns) Samples.AssertSameCodes(data.t().contiguous(), columns, $"{what}, {layout}, transposed");
        }
    }

    /// <summary>Ends that never decrease, some of them equal, not beyond the rows.</summary>
    public static long[] Ends(long rows, int groups, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, groups).Select(_ => random.NextInt64(rows + 1)).Order()];
    }
}
