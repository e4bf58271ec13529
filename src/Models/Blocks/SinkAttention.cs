using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Models;

/// <summary>
/// Attention whose softmax has one more logit per head, learned, with a value of 0: a head that finds nothing to read may look there (Xiao et al., 2023; gpt-oss). Computed as one more key: queries
/// get an element that holds their head's sink, the key has 1 there and the others 0, so that any attention kernel serves.
/// </summary>
internal sealed class SinkAttention : Attention, IWeightedLayer
{
    // Kernels want widths in eights.
    private const int More = 8;

    private readonly WeightSlot sinks;

    public SinkAttention(AttentionArgs args, long dimension, ModelContext context) : base(args, dimension, context)
    {
        var parameter = new TorchSharp.Modules.Parameter(empty(args.Heads, dtype: context.Type, device: context.Device));
        register_parameter("sinks", parameter);
        sinks = new WeightSlot("sinks", parameter);
    }

    public IReadOnlyList<WeightSlot> Weights => [sinks];

    public override string? NeedsWholeSequences => "its softmax has a sink beside the keys";

    protected override Tensor Attend(Tensor q, Tensor k, Tensor v, BlockContext context)
    {
        long b = q.shape[0], heads = q.shape[1], s = q.shape[2], d = q.shape[3], wide = d + More;
        var sink = GatherFunction.Weight(sinks.Source, q.dtype);
        // Kernels divide by the root of the width that they see.
        var queries = cat([q * Math.Sqrt((double)wide / d), (sink * Math.Sqrt(wide)).view(1, heads, 1, 1).expand(b, heads, s, 1), zeros([b, heads, s, More - 1], dtype: q.dtype, device: q.device)], -1);
        var one = zeros([b, k.shape[1], 1, wide], dtype: k.dtype, device: k.device);
        one.narrow(-1, d, 1).fill_(1);
        var keys = cat([nn.functional.pad(k, [0, More]), one], 2);
        var values = nn.functional.pad(v, [0, More, 0, 1]);
        var mask = Mask(context) ?? ones([s, s], dtype: ScalarType.Bool, device: q.device).tril().view(1, 1, s, s);
        return Kernels.Attend(queries, keys, values, nn.functional.pad(mask, [0, 1], value: 1), false).narrow(-1, 0, d);
    }
}
