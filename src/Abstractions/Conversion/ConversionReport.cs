namespace Titan.Abstractions;

/// <summary>What a converter did with one layer.</summary>
/// <param name="Fqn">Fully qualified name.</param>
/// <param name="Shape">K x N of the whole weight, of each expert's where there are <see cref="Experts"/>.</param>
/// <param name="Recipe">What the layer was converted to, for example <c>float8/tensorwise</c>; null when it was skipped.</param>
/// <param name="SkippedBy">The rule that skipped it; null when it was converted.</param>
/// <param name="Backend">What executes the layer's matmuls.</param>
public sealed record LayerConversion(string Fqn, LinearShape Shape, string? Recipe, string? SkippedBy, string Backend)
{
    /// <summary>E, where the weight [E, N, K] is that of experts; null for a linear layer.</summary>
    public long? Experts { get; init; }

    /// <summary>The shape for people: K x N, or E x N x K as the weight of experts has it.</summary>
    public string ShapeText => Experts is { } experts ? $"{experts} x {Shape.N} x {Shape.K}" : Shape.ToString();

    /// <summary>Time in high precision over time by the recipe, forward and backward, where the layer was measured on this device; above 1 the layer gains. Else null.</summary>
    public double? MeasuredSpeedUp { get; init; }
}

/// <summary>What a converter did with a model. Printed at start and saved in the run's folder.</summary>
/// <param name="Converter">The converter's name.</param>
/// <param name="Summary">One line: the recipe and its casts.</param>
/// <param name="Status">How far the recipe can be relied on.</param>
/// <param name="Layers">Every layer that was looked at, in model order.</param>
/// <param name="Notes">What was asked for and has no effect in this run, with the reason.</param>
public sealed record ConversionReport(
    string Converter, string Summary, ExportStatus Status, IReadOnlyList<LayerConversion> Layers, IReadOnlyList<string> Notes) : IModelConversion
{
    /// <summary>A report alone is a conversion with nothing to do after a step.</summary>
    ConversionReport IModelConversion.Report => this;

    /// <summary>Number of converted layers.</summary>
    public int Converted => Layers.Count(l => l.Recipe is not null);

    /// <summary>Number of skipped layers.</summary>
    public int Skipped => Layers.Count - Converted;
}
