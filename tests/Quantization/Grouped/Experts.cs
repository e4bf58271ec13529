using Titan.Abstractions;
using Titan.Kernels.Matmuls;
using Titan.Quantization.Grouped;
using Titan.Quantization.Linear;
using Titan.Quantization.Matmuls;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests.Grouped;

/// <summary>Experts with one weight [E, N, K], and what runs them.</summary>
internal sealed class Experts : nn.Module, IGroupedLayer
{
    public Experts(params (string Name, Tensor Weight)[] weights) : base("experts")
    {
        Weights = [.. weights.Select(w => new WeightSlot(w.Name, new Parameter(w.Weight.detach().clone())))];
        foreach (var weight in Weights) register_parameter(weight.Name, weight.Source.Parameter);
    }

    public IReadOnlyList<WeightSlot> Weights { get; }

    public IGroupedMatmul Matmul { get; set; } = new HighPrecisionGroupedMatmul((left, right, groups, wide) => GroupedLoop.Multiply(Abstractions.Matmul.Multiply, left, right, groups, wide));

    /// <summary>The ways in which a recipe can be executed on a CPU.</summary>
    public static IReadOnlyList<string> Ways { get; } = ["emulated", "plain", "fused", "loop", .. CpuMatmul.IsSupported ? ["avx2"] : Array.Empty<string>()];

    public static GroupedEngine Engine(LinearRecipe recipe, string way, MatmulCounter? counter = null)
    {
        LinearEngine linear = new("float8/test", recipe, DeviceCapability.Cpu, way is "fused" or "loop" or "avx2", way == "emulated", counter ?? new MatmulCounter());
        return way == "avx2" ? new GroupedEngine(linear, _ => new GroupedFusedMatmul()) : way is "plain" or "fused" ? new GroupedEngine(linear, kernels => new GroupedDecodedMatmul(kernels)) : new GroupedEngine(linear);
    }

    /// <summary>Runs one weight forward and backward.</summary>
    public static (Tensor Y, Tensor GradX, Tensor GradW) Run(LinearRecipe recipe, string way, Tensor x, Tensor w, Tensor g, RowGroups groups)
    {
        var layer = new Experts(("w", w));
        layer.Matmul = new QuantizedGroupedMatmul(Engine(recipe, way), layer, "experts");
        return layer.Run(x, g, groups);
    }

    public (Tensor Y, Tensor GradX, Tensor GradW) Run(Tensor x, Tensor g, RowGroups groups)
    {
        var leaf = x.detach().clone().requires_grad_();
        using var rows = new Activation(leaf);
        var y = Matmul.Multiply(rows, groups, Weights[0].Source);
        y.backward([g]);
        BackwardFailure.ThrowIfAny();
        return (y.detach(), leaf.grad!, Weights[0].Source.Parameter.grad!);
    }
}
