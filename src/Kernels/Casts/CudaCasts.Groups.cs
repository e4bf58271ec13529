using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.Cuda;
using static TorchSharp.torch;

namespace Titan.Kernels.Casts;

/// <content>One scale to a group of rows and column. Where the groups end only the device knows.</content>
public sealed partial class CudaCasts
{
    // As in amax_groups.cu.
    private const int GroupLoads = 8;

    /// <inheritdoc cref="ICastKernels.CastGroups" />
    /// <remarks>x has elements. Two launches that read x, a small one in between. Elements along rows alone cost a transposed copy that is thrown away: no product on a GPU reads them.</remarks>
    public ScaledCast CastGroups(Tensor x, RowGroups groups, CastTarget target, OperandLayout layout = OperandLayout.Columns)
    {
        var power = PowerOfTwo(target.Rounding);
        using var scope = NewDisposeScope();
        var (source, type) = Matrix(x, "cast per group");
        var format = Name8(target.Format);
        CheckEnds(x, groups, "cast per group");
        long rows = x.Sizes()[0], columns = x.Sizes()[1];
        var amax = zeros([groups.Count, columns], dtype: ScalarType.Float32, device: x.device);
        launcher.Launch(
            "amax_groups", $"amax_groups_{type}", x.device, LaunchGrid.Matrix(Packs(x, Lanes(x)), rows, GroupLoads, launcher.BlocksToFill(x.device)), source, groups.Ends, groups.Count, rows, columns, amax);
        Tensor scale = New([groups.Count, columns], ScalarType.Float32, x), inverse = New([groups.Count, columns], ScalarType.Float32, x);
        launcher.Launch(
            "scale_from_amax", "scale_from_amax", x.device, LaunchGrid.Line(amax.numel(), LaunchGrid.Threads, launcher.BlocksToFill(x.device)),
            amax, amax.numel(), (float)target.Format.Max, ScaleOfZero(target.Format), power, scale, inverse);
        var data = layout == OperandLayout.Columns ? null : New([rows, columns], target.Format.Type, x);
        var transposed = New([columns, rows], target.Format.Type, x);
        launcher.Launch("cast_groups", $"cast_groups_{type}_{format}", x.device, Tiles(x, 3), source, scale, groups.Ends, groups.Count, rows, columns, KernelArgument.Of(data), transposed);
        return new ScaledCast(data, layout == OperandLayout.Rows ? null : transposed, scale, inverse).MoveToOuterDisposeScope();
    }

    /// <inheritdoc cref="ICastKernels.ClearRows" />
    public void ClearRows(Tensor x, RowGroups groups)
    {
        using var scope = NewDisposeScope();
        var (source, type) = Matrix(x, "clear rows");
        if (!x.is_contiguous()) throw new ArgumentException($"clear rows: [{string.Join(", ", x.shape)}] is not contiguous");
        CheckEnds(x, groups, "clear rows");
        if (x.numel() > 0) launcher.Launch("clear_rows", $"clear_rows_{type}", x.device, Flat(x, 4), source, groups.Ends, groups.Count, x.Sizes()[0], x.Sizes()[1]);
    }

    private static void CheckEnds(Tensor x, RowGroups groups, string what)
    {
        if (groups.Ends.device_type != x.device_type) throw new ArgumentException($"{what}: the groups' ends lie on {groups.Ends.device}; expected {x.device}");
        if (!groups.Ends.is_contiguous()) throw new ArgumentException($"{what}: the groups' ends are not contiguous");
    }
}
