using Titan.Abstractions;
using Titan.Quantization.Linear;
using Titan.Quantization.Matmuls;
using static TorchSharp.torch;

namespace Titan.NumericsFigure;

/// <summary>The error of a layer's output when one row or one column of its input is out of scale.</summary>
internal static class OutlierError
{
    private const int Rows = 256, Inner = 512, Outlier = 3;

    /// <summary>The factors by which the row or column is multiplied: 1 to 1e6, two to a decade.</summary>
    public static double[] Factors { get; } = [.. Enumerable.Range(0, 13).Select(i => Math.Pow(10, i / 2.0))];

    /// <summary>For each factor the median over rows of the output's signal to noise, in dB.</summary>
    /// <param name="recipe">The recipe; its matmuls are emulated in fp32, so that what is seen is the casts.</param>
    /// <param name="column">A bad column, which the weight does not use (its own column is zero: else it would drown the result); or a bad row.</param>
    public static double[] MedianSqnr(LinearRecipe recipe, bool column)
    {
        using var scope = NewDisposeScope();
        using var none = no_grad();
        manual_seed(0);
        Tensor input = randn(Rows, Inner), weight = randn(Rows, Inner);
        if (column) weight[TensorIndex.Colon, Outlier] = 0;
        return [.. Factors.Select(factor =>
        {
            using var inner = NewDisposeScope();
            var x = input.clone();
            x.narrow(column ? 1 : 0, Outlier, 1).mul_(factor);
            var plain = new Linear(Inner, Rows);
            plain.Weight.Parameter.copy_(weight);
            var engine = new LinearEngine("figure", recipe, DeviceCapability.Cpu, fused: false, emulate: true, new MatmulCounter());
            var y = new QuantizedLinear(plain, engine).call(x);
            engine.ReleaseSharedCasts();
            return MedianOverRows(x.to(ScalarType.Float64).mm(weight.to(ScalarType.Float64).t()), y.to(ScalarType.Float64));
        })];
    }

    private static double MedianOverRows(Tensor reference, Tensor y)
    {
        var noise = (reference - y).square().sum(1);
        var ratios = (10 * (reference.square().sum(1) / noise).log10()).data<double>().ToArray();
        Array.Sort(ratios);
        return ratios[ratios.Length / 2];
    }
}
