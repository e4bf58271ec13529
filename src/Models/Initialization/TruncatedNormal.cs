using TorchSharp;
using static TorchSharp.torch;

namespace Titan.Models;

/// <summary>Normal numbers cut at two bounds. TorchSharp's own <c>trunc_normal_</c> collapses to zero when the bounds are many deviations away, as upstream's are.</summary>
internal static class TruncatedNormal
{
    /// <summary>Fills a tensor from the global generator by inverting the distribution function (the method of PyTorch's <c>trunc_normal_</c>).</summary>
    public static void Fill(Tensor tensor, double deviation, double bound)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        // P(|x| < bound) for a normal number is erf(bound / (deviation sqrt 2)).
        var limit = special.erf(torch.tensor(bound / (deviation * Math.Sqrt(2)), dtype: ScalarType.Float64)).item<double>();
        nn.init.uniform_(tensor, -limit, limit);
        tensor.erfinv_().mul_(deviation * Math.Sqrt(2)).clamp_(-bound, bound);
    }
}
