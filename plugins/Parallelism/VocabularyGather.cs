using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.Parallelism;

/// <summary>
/// Forward: logits [B, S, V / ranks] of every rank become [B, S, V]. Every rank then computes the same loss, so its gradient is whole everywhere, and backward takes this
/// rank's part of it.
/// </summary>
internal sealed class VocabularyGather(IProcessGroup group) : GuardedFunction
{
    /// <summary>Gathers.</summary>
    public static Activation Apply(Activation logits, IProcessGroup group) => new(new VocabularyGather(group).Apply(logits.Values));

    protected override Tensor Forward(Tensor[] inputs)
    {
        var logits = inputs[0].contiguous();
        long b = logits.shape[0], s = logits.shape[1], v = logits.shape[2];
        var all = empty([group.Size * b, s, v], dtype: logits.dtype, device: logits.device);
        group.AllGatherIntoTensor(all, logits);
        return all.view(group.Size, b, s, v).permute(1, 2, 0, 3).reshape(b, s, group.Size * v);
    }

    protected override Tensor?[] Backward(Tensor gradient)
    {
        var width = gradient.shape[^1] / group.Size;
        return [gradient.narrow(-1, group.Rank * width, width).contiguous()];
    }
}
