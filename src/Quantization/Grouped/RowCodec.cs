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
/// <param name="forTraining">Whether bytes travel although backward follows.</param>
internal sealed class RowCodec(LinearEngine engine, bool forTraining) : IActivationCodec
{
    private readonly ActivationCodec rows = new(engine, engine.Recipe.Output.Left, engine.Recipe.Output.Left);

    public string Describe(bool forBackward) => forBackward && !forTraining ? "the compute dtype" : rows.Describe(forBackward: false);

    public EncodedActivation? Encode(Tensor part, Tensor? amaxParts, bool forBackward, Func<Tensor, Tensor> reduceAmax) =>
        forBackward && !forTraining ? null : rows.Encode(part, amaxParts, forBackward: false, reduceAmax);

    public Tensor Decode(EncodedActivation whole, ScalarType type) => rows.Decode(whole, type);

    public void Attach(Activation activation, EncodedActivation whole) => rows.Attach(activation, whole);

    public void Attach(GradientNote note, Tensor gradient, EncodedActivation whole) => rows.Attach(note, gradient, whole);
}
