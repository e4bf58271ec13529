/// <summary>Two recipes of one family whose option of one name has two types, and one of equal types two defaults.</summary>
public sealed record WholeOptions
{
    public int Amount { get; init; } = 3;

    public int Alike { get; init; } = 1;
}

public sealed record PartOptions
{
    public double Amount { get; init; } = 0.5;

    public int Alike { get; init; } = 2;
}

[ExportRecipe("acme_option_of_two_types", "whole", IsDefault = true)]
public sealed class Whole : QuantizationRecipe<WholeOptions>
{
    public override LinearRecipe Describe(WholeOptions options) => new Described().Describe(new NoOptions());

    public override IEnumerable<string> Notes(WholeOptions options, ParallelDimensions dimensions) => [$"{options}"];
}

[ExportRecipe("acme_option_of_two_types", "part")]
public sealed class Part : QuantizationRecipe<PartOptions>
{
    public override LinearRecipe Describe(PartOptions options) => new Described().Describe(new NoOptions());

    public override IEnumerable<string> Notes(PartOptions options, ParallelDimensions dimensions) => [$"{options}"];
}

internal sealed class Described : EverythingE4M3;
