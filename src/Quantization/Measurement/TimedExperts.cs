using Titan.Abstractions;
using Titan.Kernels.Activations;
using Titan.Kernels.Casts;
using Titan.Quantization.Grouped;
using Titan.Quantization.Linear;
using Titan.Quantization.Matmuls;
using Titan.Quantization.Scaling;
using static TorchSharp.torch;

namespace Titan.Quantization.Measurement;

/// <summary>A product of experts in two ways.</summary>
/// <param name="Name">output, grad_input or grad_weight.</param>
/// <param name="Baseline">The baseline.</param>
/// <param name="Loop">A second baseline: the same loop over what our own kernels decoded; null where nothing is decoded.</param>
/// <param name="Grouped">The grouped product.</param>
public sealed record ExpertProduct(string Name, Func<Tensor> Baseline, Func<Tensor>? Loop, Func<Tensor> Grouped);

/// <summary>
/// The grouped products of E experts with weights [E, N, K] over the rows of T tokens of which each goes to some of them, the first half of the experts getting several times the rows of the second. The baseline is what a
/// loop over experts in ATen does: split the rows, multiply each part (in fp32 where the CPU has no fast bf16 product), join the results.
/// </summary>
public sealed class TimedExperts : IDisposable
{
    private const int Multiple = 32;

    private readonly Tensor x, w, g;
    private readonly RowGroups groups;
    private readonly Device device;
    private readonly List<Operand> operands = [];

    /// <summary>Makes the data.</summary>
    /// <param name="experts">E.</param>
    /// <param name="shape">K x N.</param>
    /// <param name="rows">Tokens times the experts of each.</param>
    /// <param name="skew">How many times as many rows the first half of the experts gets; 1 for as many.</param>
    /// <param name="device">Where.</param>
    public TimedExperts(int experts, LinearShape shape, long rows, double skew, Device device)
    {
        using var scope = NewDisposeScope();
        using var random = new SeededNumbers(0, device);
        this.device = device;
        Sizes = [.. Enumerable.Range(0, experts).Select(e => Up(2 * rows * (e < experts / 2 ? skew : 1) / (skew + 1) / experts))];
        long m = Sizes.Sum();
        x = random.Normal(ScalarType.BFloat16, m, shape.K).DetachFromDisposeScope();
        g = random.Normal(ScalarType.BFloat16, m, shape.N).DetachFromDisposeScope();
        w = (random.Normal(ScalarType.BFloat16, experts, shape.N, shape.K) / Math.Sqrt(shape.K)).DetachFromDisposeScope();
        groups = RowGroups.Of([.. Sizes.Select((_, e) => Sizes.Take(e + 1).Sum())], device, Multiple);
        groups.Ends.DetachFromDisposeScope();

        static long Up(double size) => (long)Math.Ceiling(size / Multiple) * Multiple;
    }

    /// <summary>Rows of each expert, multiples of 32.</summary>
    public IReadOnlyList<long> Sizes { get; }

    /// <summary>The products in bf16.</summary>
    public IReadOnlyList<ExpertProduct> HighPrecision()
    {
        var kernels = ModelKernels.For(fused: true, device.type == TorchSharp.DeviceType.CUDA);
        return
        [
            new("output", () => Rows(x, w.transpose(1, 2)), null, () => kernels.GroupedMultiply(x, w.transpose(1, 2), groups)),
            new("grad_input", () => Rows(g, w), null, () => kernels.GroupedMultiply(g, w, groups)),
            new("grad_weight", () => Columns(g, x), null, () => kernels.GroupedMultiply(g.t(), x, groups)),
        ];
    }

    /// <summary>The products of a recipe's float8 operands, which are cast beforehand; of grad_weight none where it is not cast.</summary>
    /// <param name="name">family/name.</param>
    /// <param name="recipe">The recipe.</param>
    /// <param name="capability">Of the device.</param>
    /// <param name="emulated">Whether its matmuls are always emulated.</param>
    public IReadOnlyList<ExpertProduct> By(string name, LinearRecipe recipe, DeviceCapability capability, bool emulated = false)
    {
        var engine = new GroupedEngine(name, recipe, capability, fused: true, emulated, new MatmulCounter());
        GroupedEngine plain = Loop(CastKernels.Plain), decoded = Loop(capability.IsCuda ? CastKernels.Cuda : CastKernels.Fused);
        return [.. new[] { "output", "grad_input", "grad_weight" }.Where(p => p != "grad_weight" || !recipe.GradWeight.IsHighPrecision).Select(product => new ExpertProduct(product, Of(plain, product), Of(decoded, product), Of(engine, product)))];

        GroupedEngine Loop(ICastKernels kernels) => new(new LinearEngine(name, recipe, kernels, k => new DecodedMatmul(k), new MatmulCounter()));

        Func<Tensor> Of(GroupedEngine by, string product)
        {
            var (left, right) = product switch
            {
                "output" => (by.CastRows("", "", x, recipe.Output.Left), by.CastWeight("", "", w, WeightUse.Output)),
                "grad_input" => (by.CastRows("", "", g, recipe.GradInput.Left), by.CastWeight("", "", w, WeightUse.GradInput)),
                _ => (by.CastColumns("", "", g, recipe.GradWeight.Left, groups), by.CastColumns("", "", x, recipe.GradWeight.Right, groups)),
            };
            left.Detach();
            right.Detach();
            operands.AddRange([left, right]);
            return () => product == "grad_weight" ? by.MultiplyColumns(left, right, groups, ScalarType.BFloat16, wide: false) : by.MultiplyRows(left, right, product == "output", groups, ScalarType.BFloat16);
        }
    }

    /// <summary>An arm for a timer: the product, to its end.</summary>
    public Action Arm(Func<Tensor> product) => () =>
    {
        using (no_grad())
        using (NewDisposeScope()) product();
        if (device.type == TorchSharp.DeviceType.CUDA) cuda.synchronize(device);
    };

    /// <summary>Signal to noise of the grouped product against its baseline, in dB.</summary>
    public static double Agreement(ExpertProduct product)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        Tensor expected = product.Baseline().to(ScalarType.Float32), noise = product.Grouped().to(ScalarType.Float32) - expected;
        return 20 * Math.Log10(expected.norm().item<float>() / noise.norm().item<float>());
    }

    /// <inheritdoc />
    public void Dispose()
    {
        foreach (var operand in operands) operand.Dispose();
        foreach (var tensor in (ReadOnlySpan<Tensor>)[x, w, g, groups.Ends]) tensor.Dispose();
    }

    private Tensor Rows(Tensor rows, Tensor matrices) => cat([.. rows.split([.. Sizes], 0).Select((part, e) => Abstractions.Matmul.Multiply(part, matrices[e]))]);

    private Tensor Columns(Tensor left, Tensor right) => stack([.. left.split([.. Sizes], 0).Zip(right.split([.. Sizes], 0), (l, r) => Abstractions.Matmul.Multiply(l.t(), r))]);
}
