using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.Parallelism;

/// <summary>
/// Forward: partial sums [B, S, F] are summed over ranks, and each keeps its part [B, s, F] of the sequence, in high precision. Backward: the parts of the gradient are gathered,
/// moved as the codec of the layer that made the sums says.
/// </summary>
internal sealed class SequenceScatter(IProcessGroup group, IActivationCodec? codec, GradientNote? note) : GuardedFunction
{
    /// <summary>Sums and scatters.</summary>
    public static Activation Apply(Activation partial, IProcessGroup group, IActivationCodec? codec) => new(new SequenceScatter(group, codec, partial.Gradient).Apply(partial.Values));

    protected override Tensor Forward(Tensor[] inputs) => group.ReduceScatter(inputs[0]);

    protected override Tensor?[] Backward(Tensor gradient)
    {
        var arrived = new Arrived();
        var whole = EncodedGather.Run(gradient, amaxParts: null, group, codec, forBackward: true, arrived);
        if (arrived.Encoded is { } encoded && note is not null) codec!.Attach(note, whole, encoded);
        arrived.Release();
        return [whole];
    }
}
