using Titan.Abstractions;
using Titan.Models;
using static TorchSharp.torch;

namespace Titan.Plugins.GptOss;

/// <summary>gpt-oss's experts: mlp1 gives gate and linear part in turn, both are cut, then gate · sigmoid(1.702 gate) · (linear + 1), then mlp2. Both have biases.</summary>
/// <param name="Hidden">The hidden dimension of one.</param>
/// <param name="Limit">The gate is cut above this, the linear part beyond plus and minus this.</param>
internal sealed record ClampedExpertArgs(long Hidden, double Limit) : ExpertArgs
{
    public override long Hidden { get; init; } = Hidden;

    public override long Parameters(long dimension) => 3 * Hidden * dimension + 2 * Hidden + dimension;

    public override ExpertBank Create(int experts, long dimension, ModelContext context) => new ClampedExperts(this, experts, dimension, context);
}

internal sealed class ClampedExperts : ExpertBank
{
    private readonly double limit;
    private readonly WeightSlot mlp1, mlp1Bias, mlp2, mlp2Bias;

    public ClampedExperts(ClampedExpertArgs args, int experts, long dimension, ModelContext context) : base("GptOssGroupedExperts")
    {
        limit = args.Limit;
        mlp1 = Register("mlp1_weight", context, experts, 2 * args.Hidden, dimension);
        mlp1Bias = Register("mlp1_bias", context, experts, 2 * args.Hidden);
        mlp2 = Register("mlp2_weight", context, experts, dimension, args.Hidden);
        mlp2Bias = Register("mlp2_bias", context, experts, dimension);
    }

    protected override Tensor Compute(Activation rows, RowGroups groups)
    {
        var both = WithBias(Matmul.Multiply(rows, groups, mlp1.Source), groups, mlp1Bias);
        using var hidden = new Activation(Gated(both.view(both.shape[0], -1, 2)));
        return WithBias(Matmul.Multiply(hidden, groups, mlp2.Source), groups, mlp2Bias);
    }

    /// <summary>[M, H, 2] to [M, H].</summary>
    private Tensor Gated(Tensor both)
    {
        Tensor gate = both.select(-1, 0).clamp(max: limit), linear = both.select(-1, 1).clamp(-limit, limit);
        return gate * (1.702 * gate).sigmoid() * (linear + 1);
    }
}
