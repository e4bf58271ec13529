using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.Casts;
using Titan.Kernels.Matmuls;
using Titan.Quantization.Linear;
using Titan.Quantization.Matmuls;
using Titan.Quantization.Scaling;
using static TorchSharp.torch;

namespace Titan.Quantization.Grouped;

/// <summary>
/// What executes a recipe for experts. Rows, weights and blocks are cast as a linear layer's, since no scale of theirs is shared by two experts; what is cast per column is cast group by group. One per converter,
/// shared by its layers.
/// </summary>
internal sealed class GroupedEngine
{
    private readonly IGroupedFloat8Matmul matmul;

    /// <summary>Checks that the recipe can be executed.</summary>
    /// <param name="name">family/name, for messages.</param>
    /// <param name="recipe">The recipe.</param>
    /// <param name="device">Where the experts will run.</param>
    /// <param name="fused">Fused casts, or the plain ATen chain.</param>
    /// <param name="emulate">Matmuls in fp32 on dequantised operands.</param>
    /// <param name="counter">Counts executed float8 matmuls.</param>
    /// <exception cref="TitanException">For a cast that is not local, or that cannot be executed.</exception>
    public GroupedEngine(string name, LinearRecipe recipe, DeviceCapability device, bool fused, bool emulate, MatmulCounter counter)
        : this(new LinearEngine(name, Local(name, recipe), device, fused, emulate, counter), kernels => device.IsCuda && !emulate ? new ScaledGroupedMmMatmul(kernels)
            : emulate || !HasExactScales(recipe) ? null
            : fused && CpuMatmul.IsPreferred ? new GroupedFusedMatmul()
            : new GroupedDecodedMatmul(kernels))
    {
    }

    /// <summary>With a matmul that need not be that of the device; null for a loop over that of the linear engine.</summary>
    internal GroupedEngine(LinearEngine linear, Func<ICastKernels, IGroupedFloat8Matmul?>? matmul = null) =>
        (Linear, this.matmul) = (linear, matmul?.Invoke(linear.Kernels) ?? new GroupedLoopMatmul(linear.Matmul));

    /// <summary>What casts what is cast as a linear layer's.</summary>
    public LinearEngine Linear { get; }

    /// <summary>The recipe.</summary>
    public LinearRecipe Recipe => Linear.Recipe;

    /// <summary>What executes the matmuls, for the report.</summary>
    public string Backend => matmul.Name;

    /// <summary>Groups of rows must be multiples of this, and so must N and K.</summary>
    public int RequiredMultiple => Recipe.RequiredMultiple;

    /// <summary>Casts X or G along the rows.</summary>
    public Operand CastRows(string layer, string name, Tensor x, OperandCast cast) => Linear.Cast(layer, name, x, cast, LinearEngine.AlongRows);

    /// <summary>Casts X or G for the gradient of the weight: along the columns of each group.</summary>
    public Operand CastColumns(string layer, string name, Tensor x, OperandCast cast, RowGroups groups) =>
        cast is OperandCast.Scaled { Granularity: ScaleGranularity.Rowwise } scaled ? ByGroup(layer, name, x, scaled, groups, matmul.ReadsAlongContracted ? OperandLayout.Columns : OperandLayout.Rows)
        : Linear.Cast(layer, name, x, cast, LinearEngine.AlongColumns);

    /// <summary>Casts a weight for one of its two matmuls: a matrix [E · N, K], or as it is, [E, N, K], where it is not cast.</summary>
    public Operand CastWeight(string layer, string name, Tensor weight, WeightUse use)
    {
        var cast = Linear.WeightCast(use);
        if (cast is OperandCast.HighPrecision) return new Operand(null, weight.alias());
        long experts = weight.Sizes()[0], n = weight.Sizes()[1];
        using var matrix = weight.reshape(experts * n, weight.Sizes()[2]);
        if (use == WeightUse.Output || cast is not OperandCast.Scaled { Granularity: ScaleGranularity.Rowwise } scaled) return Linear.Cast(layer, name, matrix, cast, LinearEngine.Contracted(use));
        var groups = RowGroups.Of([.. Enumerable.Range(1, (int)experts).Select(e => e * n)], weight.device, (int)n);
        using (groups.Ends) return ByGroup(layer, name, matrix, scaled, groups, matmul.ReadsAlongContracted ? OperandLayout.Columns : OperandLayout.Rows);
    }

    /// <summary>X · W[e]ᵀ, or G · W[e].</summary>
    public Tensor MultiplyRows(Operand rows, Operand weight, bool isTransposed, RowGroups groups, ScalarType type)
    {
        if (rows.Quantized is { } q && weight.Quantized is { } w)
        {
            Linear.Counter.Increment();
            return matmul.MultiplyRows(q, w, isTransposed, groups, type, (isTransposed ? Recipe.Output : Recipe.GradInput).FastAccumulation);
        }

        using var plain = weight.InHighPrecision(type);
        using var right = isTransposed ? plain.transpose(1, 2) : plain.alias();
        using var left = rows.InHighPrecision(type);
        return Linear.ModelKernels.GroupedMultiply(left, right, groups);
    }

    /// <summary>G[e]ᵀ · X[e].</summary>
    public Tensor MultiplyColumns(Operand left, Operand right, RowGroups groups, ScalarType type, bool wide)
    {
        if (left.Quantized is { } g && right.Quantized is { } x)
        {
            Linear.Counter.Increment();
            return matmul.MultiplyColumns(g, x, groups, type, Recipe.GradWeight.FastAccumulation, wide);
        }

        using var a = left.InHighPrecision(type);
        using var transposed = a.t();
        using var b = right.InHighPrecision(type);
        return Linear.ModelKernels.GroupedMultiply(transposed, b, groups, wide);
    }

    /// <summary>Shows a cast to the observer.</summary>
    public void Observe(string layer, string name, Tensor x, Operand operand, RowGroups groups)
    {
        if (Linear.Observer is not { } observer || operand.Quantized is not { } q) return;
        using var shown = new Operand(q.WithScalePerElement(groups), null);
        observer.Observe(layer, name, x, shown);
    }

    private Operand ByGroup(string layer, string name, Tensor x, OperandCast.Scaled cast, RowGroups groups, OperandLayout layout)
    {
        var operand = new Operand(QuantizedTensor.From(Linear.Kernels.CastGroups(x, groups, new CastTarget(cast.Format, cast.Rounding), layout), cast.Format), null);
        Observe(layer, name, x, operand, groups);
        return operand;
    }

    private static LinearRecipe Local(string name, LinearRecipe recipe)
    {
        recipe.ValidateForExperts(name);
        return recipe;
    }

    /// <summary>Whether a value times its scale is exact: all scales are powers of two.</summary>
    private static bool HasExactScales(LinearRecipe recipe) => recipe.Casts().OfType<OperandCast.Scaled>().All(c => c.Granularity switch
    {
        ScaleGranularity.Rowwise => c.Rounding == ScaleRounding.PowerOfTwo,
        ScaleGranularity.Block => QuantizedTensor.IsMicroscaling(c.Rounding),
        _ => false,
    });
}
