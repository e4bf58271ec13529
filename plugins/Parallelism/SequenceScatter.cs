using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.Parallelism;

/// <summary>
/// Forward: partial sums [B, S, F] are summed over ranks, and each keeps its part [B, s, F] of the sequence, in high precision. Backward: the parts of the gradient are gathered,
/// moved as the codec of the layer that made the sums says.
/// </summary>
internal sealed class SequenceScatter : GuardedFunction<SequenceScatter>
{
    /// <summary>Sums and scatters.</summary>
    public static Tensor Apply(Tensor partial, IProcessGroup group, IActivationCodec? codec) => GuardedFunction<SequenceScatter>.Apply(partial, group, new Wire(codec));

    protected override Tensor Forward(autograd.AutogradContext context, object[] inputs)
    {
        var group = (IProcessGroup)inputs[1];
        context.save_data("group", group);
        context.save_data("wire", inputs[2]);
        return group.ReduceScatter((Tensor)inputs[0]);
    }

    protected override List<Tensor?> Backward(autograd.AutogradContext context, Tensor gradient)
    {
        var codec = ((Wire)context.get_data("wire")).Codec;
        var arrived = new Arrived();
        var whole = EncodedGather.Run(gradient, (IProcessGroup)context.get_data("group"), codec, forBackward: true, arrived);
        if (arrived.Encoded is { } encoded) codec!.Offer(whole, encoded);
        arrived.Release();
        return [whole, null, null];
    }

    private sealed record Wire(IActivationCodec? Codec);
}
