using System.ComponentModel;

/// <summary>Recipes whose answers cannot be used, each in another way.</summary>
public abstract class Gap : EverythingE4M3
{
    protected static LinearRecipe Casting(OperandCast cast)
    {
        var both = new MatmulRecipe(cast, cast);
        return new(both, both, both);
    }
}

[ExportRecipe("acme_recipe_gaps", "describe_null", IsDefault = true)]
public sealed class DescribeNull : Gap
{
    public override LinearRecipe Describe(NoOptions options) => null!;
}

[ExportRecipe("acme_recipe_gaps", "matmul_null")]
public sealed class MatmulNull : Gap
{
    public override LinearRecipe Describe(NoOptions options) => base.Describe(options) with { GradInput = null! };
}

[ExportRecipe("acme_recipe_gaps", "notes_null")]
public sealed class NotesNull : Gap
{
    public override IEnumerable<string> Notes(NoOptions options, ParallelDimensions dimensions) => null!;
}

[ExportRecipe("acme_recipe_gaps", "filters_null")]
public sealed class FiltersNull : Gap
{
    public override IReadOnlyList<string> DefaultFilterFqns => null!;
}

[ExportRecipe("acme_recipe_gaps", "block_of_none")]
public sealed class BlockOfNone : Gap
{
    public override LinearRecipe Describe(NoOptions options) => Casting(new OperandCast.Scaled(Float8Format.E4M3, new ScaleGranularity.Block(0), ScaleRounding.None));
}

[ExportRecipe("acme_recipe_gaps", "half_cast")]
public sealed class HalfCast : Gap
{
    public override LinearRecipe Describe(NoOptions options) => base.Describe(options) with { Output = new MatmulRecipe(E4M3.Tensorwise, OperandCast.None) };
}

[ExportRecipe("acme_recipe_gaps", "describe_hangs")]
public sealed class DescribeHangs : Gap
{
    public override LinearRecipe Describe(NoOptions options)
    {
        Thread.Sleep(Timeout.Infinite);
        return base.Describe(options);
    }
}

/// <summary>The exit code of its error.</summary>
public sealed record ExitCodeOptions
{
    [Description("The exit code of its error.")]
    public int Code { get; init; }
}

[ExportRecipe("acme_recipe_gaps", "exit_code")]
public sealed class WithExitCode : QuantizationRecipe<ExitCodeOptions>
{
    public override LinearRecipe Describe(ExitCodeOptions options) => throw new TitanException((ExitCode)options.Code, "thrown by Describe");
}

/// <summary>What a quantizer does wrong.</summary>
public enum Wrong
{
    Null,
    Same,
    Shape,
    Dtype,
    Disposed,
    Writes,
    TransposedShape,
}

public sealed record QuantizerOptions
{
    public Wrong Wrong { get; init; }
}

[ExportRecipe("acme_recipe_gaps", "quantizer")]
public sealed class WithQuantizer : QuantizationRecipe<QuantizerOptions>
{
    public override LinearRecipe Describe(QuantizerOptions options)
    {
        OperandCast cast = new OperandCast.Custom(new Quantizer(options.Wrong));
        var both = new MatmulRecipe(cast, cast);
        return new(both, both, both);
    }
}

public sealed class Quantizer(Wrong wrong) : IQuantizer
{
    public string Name => "acme_wrong";

    public Tensor QuantizeDequantize(Tensor operand)
    {
        switch (wrong)
        {
            case Wrong.Null: return null!;
            case Wrong.Same: return operand;
            case Wrong.Shape: return operand.narrow(0, 0, operand.shape[0] - 1).clone();
            case Wrong.TransposedShape: return operand.t().contiguous();
            case Wrong.Dtype: return operand.to(ScalarType.Float64);
            case Wrong.Writes:
                using (no_grad()) return operand.zero_().clone();
            default:
                var result = operand.clone();
                result.Dispose();
                return result;
        }
    }
}
