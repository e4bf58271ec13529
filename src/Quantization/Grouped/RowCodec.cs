using Titan.Abstractions;
using Titan.Quantization.Linear;
using static TorchSharp.torch;

namespace Titan.Quantization.Grouped;

/// <summary>
/// How rows [1, M, K] travel to the ranks of their experts: bytes and scales of the cast along rows, which is local to each row, so that the output is, bit for bit, what casting after arrival gives. What arrives can
/// be sorted and filled up like rows; a filling row is an encoded row of zeros.
/// The gradient of the weight reads the rows by columns of an expert, which no sender knows: it needs the rows themselves, or casts the decoded ones, where <paramref name="forTraining"/> asks for that.
/// Where scales are powers of two, that second cast changes only elements that are subnormal in one of the two.
/// </summary>
/// <param name="engine">What casts.</param>
/// <param name="cast">The cast along rows.</param>
/// <param name="forTraining">Whether bytes travel although backward follows.</param>
internal sealed class RowCodec(LinearEngine engine, OperandCast cast, bool forTraining) : IActivationCodec
{
    private readonly ActivationCodec rows = new(engine, cast, cast);

    /// <summary>Of the rows that experts read.</summary>
    public static RowCodec OfRows(LinearEngine engine, bool forTraining) => new(engine, engine.Recipe.Output.Left, forTraining);

    /// <summary>
    /// Of the gradients of their results, which are decoded when they arrive: only where scales are powers of two is casting the decoded values again, bit for bit, the cast of the values.
    /// Null otherwise, and without <paramref name="forTraining"/>.
    /// </summary>
    public static RowCodec? OfGradients(LinearEngine engine, bool forTraining) =>
        forTraining && engine.Recipe.GradInput.Left is OperandCast.Scaled { Rounding: not ScaleRounding.None } cast ? new(engine, cast, forTraining) : null;

    public string Describe(bool forBackward) => forBackward && !forTraining ? "the compute dtype" : rows.Describe(forBackward: false);

    public EncodedActivation? Encode(Tensor part, Tensor? amaxParts, bool forBackward, Func<Tensor, Tensor> reduceAmax) =>
        forBackward && !forTraining ? null : rows.Encode(part, amaxParts, forBackward: false, reduceAmax);

    public Tensor Decode(EncodedActivation whole, ScalarType type) => rows.Decode(whole, type);

    public void Attach(Activation activation, EncodedActivation whole) => rows.Attach(activation, whole);

    public void Attach(GradientNote note, Tensor gradient, EncodedActivation whole) => rows.Attach(note, gradient, whole);
}
