using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.Parallelism;

/// <summary>
/// Forward: the parts [B, s, F] of the sequence become the whole [B, S, F], moved as the readers' codec says. Backward: every rank has gradients of the whole from its part of
/// the readers; they are summed and each rank keeps its part.
/// </summary>
internal sealed class SequenceGather(IProcessGroup group, IActivationCodec? codec, Tensor? amaxParts, Arrived arrived) : GuardedFunction
{
    /// <summary>Gathers, and lets the readers find the bytes where they would cast the result.</summary>
    public static Activation Apply(Activation part, IProcessGroup group, IActivationCodec? codec)
    {
        var arrived = new Arrived();
        var whole = new Activation(new SequenceGather(group, codec, part.AmaxParts, arrived).Apply(part.Values));
        if (arrived.Encoded is not { } encoded) return whole;
        codec!.Attach(whole, encoded);
        arrived.Release();
        return whole;
    }

    // A reader may need what it read for the gradient of its weight, though nobody needs that of the input.
    private readonly bool forBackward = is_grad_enabled();

    protected override Tensor Forward(Tensor[] inputs) => EncodedGather.Run(inputs[0], amaxParts, group, codec, forBackward, arrived);

    protected override Tensor?[] Backward(Tensor gradient) => [group.ReduceScatter(gradient)];
}

/// <summary>What came as bytes; nothing where the activation itself came.</summary>
internal sealed class Arrived
{
    public EncodedActivation? Encoded { get; set; }

    /// <summary>Drops the handles; whoever took the bytes has others.</summary>
    public void Release()
    {
        foreach (var plane in Encoded?.Planes ?? []) plane.Dispose();
        Encoded?.Scale?.Dispose();
    }
}

/// <summary>Gathers an activation over the sequence in the form that a codec gives it.</summary>
internal static class EncodedGather
{
    /// <summary>The whole activation; its bytes, which belong to no dispose scope, in <paramref name="arrived"/>.</summary>
    public static Tensor Run(Tensor part, Tensor? amaxParts, IProcessGroup group, IActivationCodec? codec, bool forBackward, Arrived arrived)
    {
        using var scope = NewDisposeScope();
        if (codec?.Encode(part, amaxParts, forBackward, group.Max) is not { } encoded) return group.Gather([part])[0].MoveToOuterDisposeScope();
        var whole = encoded with { Planes = group.Gather(encoded.Planes) };
        foreach (var plane in whole.Planes) plane.DetachFromDisposeScope();
        whole.Scale?.DetachFromDisposeScope();
        arrived.Encoded = whole;
        return codec.Decode(whole, part.dtype).MoveToOuterDisposeScope();
    }
}
