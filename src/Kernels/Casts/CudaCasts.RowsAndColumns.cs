using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.Cuda;
using static TorchSharp.torch;

namespace Titan.Kernels.Casts;

/// <content>One scale to a row or a column.</content>
public sealed partial class CudaCasts
{
    // As in amax_columns.cu and cast_rows.cu.
    private const int ColumnLoads = 8, KeptElements = 32, MostThreads = 512;

    /// <summary>The largest magnitude of each row: x [R, C] to [R, 1] fp32.</summary>
    public Tensor AmaxRows(Tensor x)
    {
        using var scope = NewDisposeScope();
        var (source, type) = Matrix(x, "amax of rows");
        var (rows, columns) = (x.Sizes()[0], x.Sizes()[1]);
        var amax = New([rows, 1], ScalarType.Float32, x);
        const int rowsPerBlock = (int)LaunchGrid.Threads / 32;
        if (rows > 0)
            launcher.Launch("amax_rows", $"amax_rows_{type}", x.device, LaunchGrid.Line(rows, rowsPerBlock, launcher.BlocksToFill(x.device)), source, rows, columns, amax);
        return amax.MoveToOuterDisposeScope();
    }

    /// <summary>The largest magnitude of each column: x [R, C] to [1, C] fp32.</summary>
    public Tensor AmaxColumns(Tensor x)
    {
        using var scope = NewDisposeScope();
        var (source, type) = Matrix(x, "amax of columns");
        var (rows, columns) = (x.Sizes()[0], x.Sizes()[1]);
        var amax = New([1, columns], ScalarType.Float32, x);
        if (columns == 0) return amax.MoveToOuterDisposeScope();
        if (rows == 0) return amax.zero_().MoveToOuterDisposeScope();
        Finish(ColumnParts(source, type), type, new CastTarget(Float8Format.E4M3, ScaleRounding.None), amax, null, null);
        return amax.MoveToOuterDisposeScope();
    }

    /// <inheritdoc cref="ICastKernels.CastRows" />
    /// <remarks>x has elements. One launch; rows of up to 16384 elements are read once.</remarks>
    public ScaledCast CastRows(Tensor x, CastTarget target)
    {
        using var scope = NewDisposeScope();
        var (source, type) = Matrix(x, "cast per row");
        return CastRows(source, type, target, null).MoveToOuterDisposeScope();
    }

    /// <inheritdoc cref="ICastKernels.CastColumns" />
    /// <remarks>x has elements. Two launches that read x, a small one in between.</remarks>
    public ScaledCast CastColumns(Tensor x, CastTarget target, OperandLayout layout = OperandLayout.Columns)
    {
        PowerOfTwo(target.Rounding);
        using var scope = NewDisposeScope();
        var (source, type) = Matrix(x, "cast per column");
        return CastColumns(source, type, ColumnParts(source, type), target, layout).MoveToOuterDisposeScope();
    }

    /// <inheritdoc cref="ICastKernels.CastRowsAndColumns" />
    /// <remarks>x has elements. Two launches that read x, a small one in between; three where a row has more than 16384 elements.</remarks>
    public (ScaledCast Rows, ScaledCast Columns) CastRowsAndColumns(Tensor x, CastTarget rows, CastTarget columns, OperandLayout columnLayout = OperandLayout.Columns)
    {
        PowerOfTwo(columns.Rounding);
        using var scope = NewDisposeScope();
        var (source, type) = Matrix(x, "cast per row and column");
        var partial = x.Sizes()[1] > KeptElements * MostThreads ? null : New([RowGrid(x, columns: true).X, x.Sizes()[1]], x.dtype, x);
        var along = CastRows(source, type, rows, partial);
        var across = CastColumns(source, type, partial ?? ColumnParts(source, type), columns, columnLayout);
        return (along.MoveToOuterDisposeScope(), across.MoveToOuterDisposeScope());
    }

    private ScaledCast CastRows(Tensor x, string type, CastTarget target, Tensor? partial)
    {
        var power = PowerOfTwo(target.Rounding);
        long rows = x.Sizes()[0], columns = x.Sizes()[1];
        var grid = RowGrid(x, partial is not null);
        Tensor data = New([rows, columns], target.Format.Type, x), parts = New([grid.X], ScalarType.Float32, x);
        Tensor scale = New([rows, 1], ScalarType.Float32, x), inverse = New([rows, 1], ScalarType.Float32, x);
        if (partial is null)
            launcher.Launch("cast_rows", $"cast_rows_{type}_{Name8(target.Format)}", x.device, grid, x, rows, columns, power, data, scale, inverse, parts);
        else
            launcher.Launch("cast_rows", $"cast_rows_columns_{type}_{Name8(target.Format)}", x.device, grid, x, rows, columns, power, data, scale, inverse, parts, partial);
        return new ScaledCast(data, null, scale, inverse, parts);
    }

    private ScaledCast CastColumns(Tensor x, string type, Tensor partial, CastTarget target, OperandLayout layout)
    {
        Tensor scale = New([1, x.Sizes()[1]], ScalarType.Float32, x), inverse = New([1, x.Sizes()[1]], ScalarType.Float32, x);
        Finish(partial, type, target, null, scale, inverse);
        if (layout == OperandLayout.Rows) return new ScaledCast(Cast(x, scale, target.Format), null, scale, inverse);
        var (data, transposed) = Transpose(x, scale, target.Format, layout == OperandLayout.Both);
        return new ScaledCast(data, transposed, scale, inverse);
    }

    /// <summary>The largest magnitudes of columns over shares of the rows: [P, C] in x's dtype.</summary>
    private Tensor ColumnParts(Tensor x, string type)
    {
        // Half of what else fills a device: with eight pieces of each thread under way it is enough, and leaves half as many rows of partial maxima.
        var grid = LaunchGrid.Matrix(Packs(x, Lanes(x)), x.Sizes()[0], ColumnLoads, Math.Max(launcher.BlocksToFill(x.device) / 2, 1), rowsOfBlock: 32);
        var partial = New([grid.Y, x.Sizes()[1]], x.dtype, x);
        launcher.Launch("amax_columns", $"amax_columns_partial_{type}", x.device, grid, x, x.Sizes()[0], x.Sizes()[1], partial);
        return partial;
    }

    /// <summary>Joins <see cref="ColumnParts"/> to amaxes or scales.</summary>
    private void Finish(Tensor partial, string type, CastTarget target, Tensor? amax, Tensor? scale, Tensor? inverse)
    {
        const uint across = 4, down = LaunchGrid.Threads / across;
        var grid = LaunchGrid.Line(Packs(partial, Lanes(partial)), across, launcher.BlocksToFill(partial.device)) with { BlockX = across, BlockY = down };
        launcher.Launch(
            "amax_columns", $"amax_columns_finish_{type}", partial.device, grid, partial, partial.Sizes()[0], partial.Sizes()[1], (float)target.Format.Max, ScaleOfZero(target.Format),
            PowerOfTwo(target.Rounding), KernelArgument.Of(amax), KernelArgument.Of(scale), KernelArgument.Of(inverse));
    }

    /// <summary>For kernels that keep a row in the registers of some warps while the next one comes into shared memory.</summary>
    private LaunchGrid RowGrid(Tensor x, bool columns)
    {
        var across = 32u;
        while (across < MostThreads && across * KeptElements < x.Sizes()[1]) across *= 2;
        var down = Math.Max(LaunchGrid.Threads / across, 1);
        // As many as run at once: their registers leave room for 768 threads, or for 512. Amaxes of columns are left behind by every block: rows enough that these stay small beside what was read.
        long fill = launcher.BlocksToFill(x.device) * LaunchGrid.Threads / (across * down), rows = columns ? Math.Max(16, down) : down;
        return LaunchGrid.Line(x.Sizes()[0], rows, Math.Max(columns || across == MostThreads ? fill / 4 : fill * 3 / 8, 1))
            with { BlockX = across, BlockY = down, Shared = (uint)(across * down * KeptElements * x.element_size()) };
    }
}
