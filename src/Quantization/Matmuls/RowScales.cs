using static TorchSharp.torch;

namespace Titan.Quantization.Matmuls;

/// <summary>A product left [Rows, Inner] · right [Inner, Columns] of operands with scales per row and per column.</summary>
/// <param name="Rows">Rows of the left operand.</param>
/// <param name="Inner">The contracted dimension.</param>
/// <param name="Columns">Columns of the right operand.</param>
/// <param name="FastAccumulation">Whether the recipe allows it.</param>
/// <param name="Type">Dtype of the result.</param>
internal readonly record struct RowScaledProduct(long Rows, long Inner, long Columns, bool FastAccumulation, ScalarType Type);

/// <summary>
/// Where <c>_scaled_mm</c> gets scales per row and per column: inside, or as unit scales and a second kernel that gives the product its scales back. Both are the same product; which is faster is a matter of
/// shape, recipe and card, so a measurement may replace the rule.
/// </summary>
/// <param name="Name">For the report.</param>
/// <param name="Inside">The rule.</param>
internal sealed record RowScales(string Name, Func<RowScaledProduct, bool> Inside)
{
    /// <summary>
    /// As measured on one H100: with fast accumulation the kernel with scales is faster than unit scales and a second pass; without, it is slower than a product in bf16. It writes bf16 only, so a result in fp32
    /// takes the other way.
    /// </summary>
    public static RowScales Default { get; } = new("scales per row inside with fast accumulation, else after it", p => p.FastAccumulation && p.Type != ScalarType.Float32);
}
