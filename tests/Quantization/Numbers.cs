using System.Runtime.InteropServices;
using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Plugins.Float8Rowwise;
using Titan.Plugins.Float8Tensorwise;
using Titan.Plugins.MXFP8;
using Titan.Quantization.Linear;
using Titan.Quantization.Matmuls;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests;

/// <summary>What the tests of the engine share.</summary>
internal static class Numbers
{
    public static LinearRecipe Tensorwise { get; } = new TensorwiseRecipe().Describe(new NoOptions());

    public static LinearRecipe Rowwise { get; } = Describe(new RowwiseRecipe());

    public static LinearRecipe RowwiseWithHighPrecisionGradWeight { get; } = Describe(new RowwiseWithGradWeightHighPrecisionRecipe());

    public static LinearRecipe MxFloor { get; } = Describe(new CublasRecipe());

    public static LinearRecipe MxRceil { get; } = Describe(new RceilRecipe());

    public static LinearRecipe MxRceilWithHighPrecisionGradWeight { get; } = Describe(new RceilWithGradWeightHighPrecisionRecipe());

    /// <summary>Each recipe that ships, by name.</summary>
    public static IReadOnlyDictionary<string, LinearRecipe> All { get; } = new Dictionary<string, LinearRecipe>
    {
        ["tensorwise"] = Tensorwise, ["rowwise"] = Rowwise, ["rowwise_with_gw_hp"] = RowwiseWithHighPrecisionGradWeight,
        ["mxfp8_cublas"] = MxFloor, ["mxfp8_rceil"] = MxRceil, ["mxfp8_rceil_wgrad_with_hp"] = MxRceilWithHighPrecisionGradWeight,
    };

    public static LinearRecipe GroupedRowwise { get; } = Describe(new GroupedRowwiseRecipe());

    public static LinearRecipe GroupedMx { get; } = Describe(new GroupedRceilRecipe());

    public static LinearRecipe GroupedMxWithHighPrecisionGradWeight { get; } = Describe(new GroupedRceilWithGradWeightHighPrecisionRecipe());

    private static LinearRecipe Describe(IQuantizationRecipe recipe) => recipe.Describe(Activator.CreateInstance(recipe.OptionsType)!);

    public static LinearEngine Engine(LinearRecipe recipe, bool fused = true, bool emulate = false, MatmulCounter? counter = null) =>
        new("float8/test", recipe, DeviceCapability.Cpu, fused, emulate, counter ?? new MatmulCounter());

    /// <summary>A linear layer that holds <paramref name="weight"/>.</summary>
    public static Abstractions.Linear Layer(Tensor weight, Tensor? bias = null)
    {
        var layer = new Abstractions.Linear(weight.shape[1], weight.shape[0], bias is not null, type: weight.dtype);
        using var none = no_grad();
        layer.Weight.Parameter.copy_(weight);
        if (bias is not null) layer.Bias!.Parameter.copy_(bias);
        return layer;
    }

    /// <summary>Runs a layer forward and backward.</summary>
    public static (Tensor Y, Tensor GradX, Tensor GradW) Run(nn.Module<Tensor, Tensor> layer, Tensor x, Tensor g)
    {
        var leaf = x.detach().clone().requires_grad_();
        var weight = ((ILinear)layer).Weight.Parameter;
        weight.grad = null;
        var y = layer.call(leaf);
        y.backward([g]);
        BackwardFailure.ThrowIfAny();
        return (y.detach(), leaf.grad!, weight.grad!);
    }

    /// <summary>Signal to quantisation noise in dB.</summary>
    public static double Sqnr(Tensor reference, Tensor x)
    {
        using var scope = NewDisposeScope();
        var (a, b) = (reference.to(ScalarType.Float64), x.to(ScalarType.Float64));
        var noise = (a - b).norm().item<double>();
        return noise == 0 ? double.PositiveInfinity : 20 * Math.Log10(a.norm().item<double>() / noise);
    }

    /// <summary>The median over rows of each row's ratio: an outlier row does not hide the others.</summary>
    public static double MedianRowSqnr(Tensor reference, Tensor x)
    {
        var rows = Enumerable.Range(0, (int)reference.shape[0]).Select(i => Sqnr(reference[i], x[i])).Order().ToArray();
        return rows[rows.Length / 2];
    }

    /// <summary>The bytes in memory of fp32, float8, e8m0 or uint8, row by row.</summary>
    public static byte[] Bytes(Tensor x) => x.dtype == ScalarType.Float32
        ? [.. MemoryMarshal.AsBytes<float>(x.contiguous().data<float>().ToArray())]
        : AtenGateway.ViewDtype(x.contiguous(), ScalarType.Byte).data<byte>().ToArray();
}
