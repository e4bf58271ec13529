using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.Casts;
using Titan.Kernels.Matmuls;
using Titan.Quantization.Matmuls;
using Titan.Quantization.Scaling;
using Titan.Quantization.Statistics;
using static TorchSharp.torch;

namespace Titan.Quantization.Linear;

/// <summary>What executes a recipe: the recipe, the cast kernels and the matmul backend. One per converter, shared by its layers.</summary>
public sealed class LinearEngine
{
    /// <summary>The dimension that a matmul contracts: each row of the operand, or each of its columns.</summary>
    internal const int AlongRows = 1, AlongColumns = 0;

    private readonly IFloat8Matmul matmul;

    /// <summary>Checks that the recipe can be executed.</summary>
    /// <param name="name">family/name, for messages.</param>
    /// <param name="recipe">The recipe.</param>
    /// <param name="device">Where the layers will run.</param>
    /// <param name="fused">Fused casts, or the plain ATen chain.</param>
    /// <param name="emulate">Matmuls in fp32 on dequantised operands.</param>
    /// <param name="counter">Counts executed float8 matmuls.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Plugin"/> for a cast that cannot be executed.</exception>
    public LinearEngine(string name, LinearRecipe recipe, DeviceCapability device, bool fused, bool emulate, MatmulCounter counter)
        : this(name, Checked(name, recipe, device, emulate), !fused ? CastKernels.Plain : device.IsCuda ? CastKernels.Cuda : CastKernels.Fused,
            kernels => emulate ? new EmulatedMatmul()
                : device.IsCuda ? new ScaledMmMatmul(kernels)
                : fused && CpuMatmul.IsPreferred ? new FusedMatmul()
                : new DecodedMatmul(kernels),
            counter)
    {
    }

    /// <summary>With kernels and a matmul that need not be those of the device.</summary>
    internal LinearEngine(string name, LinearRecipe recipe, ICastKernels kernels, Func<ICastKernels, IFloat8Matmul> matmul, MatmulCounter counter)
    {
        (Name, Recipe, Counter, Kernels, this.matmul) = (name, recipe, counter, kernels, matmul(kernels));
        WeightAmaxes = new WeightAmaxes(Kernels);
        InputCodec = new ActivationCodec(this, recipe.Output.Left, recipe.GradWeight.Right);
        GradientCodec = new ActivationCodec(this, recipe.GradInput.Left, recipe.GradWeight.Left);
        // Who wants plain casts wants plain products too.
        ModelKernels = Titan.Kernels.Activations.ModelKernels.For(kernels != CastKernels.Plain, kernels == CastKernels.Cuda);
    }

    /// <summary>family/name.</summary>
    public string Name { get; }

    /// <summary>The recipe.</summary>
    public LinearRecipe Recipe { get; }

    /// <summary>Counts executed float8 matmuls.</summary>
    public MatmulCounter Counter { get; }

    /// <summary>What executes the casts: <c>plain</c>, <c>fused</c> or <c>cuda</c>.</summary>
    public string KernelName => Kernels.Name;

    /// <summary>What executes the matmuls, for the report.</summary>
    public string Backend => matmul.Name;

    /// <summary>Who is shown the casts; null for nobody.</summary>
    public CastObserver? Observer { get; set; }

    /// <summary>What multiplies float8 operands.</summary>
    internal IFloat8Matmul Matmul => matmul;

    internal ICastKernels Kernels { get; }

    /// <summary>What multiplies operands in high precision.</summary>
    internal IModelKernels ModelKernels { get; }

    /// <summary>Casts of weights, made once for all micro-batches of a step.</summary>
    internal WeightCasts WeightCasts { get; } = new();

    /// <summary>Amaxes of weights that are split over ranks.</summary>
    internal WeightAmaxes WeightAmaxes { get; }

    /// <summary>How inputs of the layers travel.</summary>
    internal ActivationCodec InputCodec { get; }

    /// <summary>How gradients of their outputs travel.</summary>
    internal ActivationCodec GradientCodec { get; }

    /// <summary>The weights have changed.</summary>
    public void AfterOptimizerStep()
    {
        WeightCasts.Release();
        WeightAmaxes.Refresh();
    }

    /// <summary>Whether X is cast with one scale, so that its maker had better find the amax.</summary>
    internal bool WantsInputAmax => IsSameBothWays(Recipe.Output.Left) || IsSameBothWays(Recipe.GradWeight.Right);

    /// <summary>Whether G is.</summary>
    internal bool WantsGradientAmax => IsSameBothWays(Recipe.GradInput.Left) || IsSameBothWays(Recipe.GradWeight.Left);

    /// <summary>What a cast is attached under, so that the layers of this engine find it.</summary>
    internal object Key(OperandCast cast, int contracted) => (this, cast, contracted);

    /// <summary>The amax of a whole tensor whose parts other ranks hold, from the magnitudes of the part here; without ranks those themselves. Null for not known.</summary>
    internal static Tensor? Reduced(Tensor? amaxParts, Func<Tensor, Tensor>? reduceAmax)
    {
        if (amaxParts is null || reduceAmax is null) return amaxParts;
        using var own = amaxParts.max();
        return reduceAmax(own);
    }

    /// <summary>Whether the weight is cast with one scale in one of its matmuls.</summary>
    internal bool CastsWeightWithOneScale => IsSameBothWays(Recipe.Output.Right) || IsSameBothWays(Recipe.GradInput.Right);

    /// <summary>Whether the optimizer had better find the amaxes of weights: on a GPU a pass over them costs as much as the cast.</summary>
    internal bool WantsWeightAmax => CastsWeightWithOneScale && Kernels == CastKernels.Cuda;

    /// <summary>Whether X is cast once for both its matmuls, so that backward can keep the float8 bytes instead of the input.</summary>
    internal bool SharesInputCast => Recipe.GradWeight.Right == Recipe.Output.Left && IsSameBothWays(Recipe.Output.Left);

    /// <summary>Whether G is cast once for both its matmuls.</summary>
    internal bool SharesGradientCast => Recipe.GradWeight.Left == Recipe.GradInput.Left && IsSameBothWays(Recipe.GradInput.Left);

    /// <summary>Whether the second cast of W has the values of the first; a square tile keeps its elements when the matrix is turned.</summary>
    internal bool SameWeightTwice => SharesWeightCast ||
        Recipe.GradInput.Right == Recipe.Output.Right && Recipe.Output.Right is OperandCast.Scaled { Granularity: ScaleGranularity.Tile tile } && tile.Rows == tile.Columns;

    /// <summary>Whether a cast gives the same bytes and scales whichever dimension is contracted.</summary>
    internal static bool IsSameBothWays(OperandCast cast) => cast is OperandCast.Scaled { Granularity: ScaleGranularity.Tensorwise };

    /// <summary>Casts an operand; the result holds either a quantised tensor or one in high precision.</summary>
    internal Operand Cast(Tensor x, OperandCast cast, int contracted, Func<Tensor, Tensor>? reduceAmax = null, Tensor? amax = null, bool bothWays = false) => cast switch
    {
        OperandCast.Scaled scaled => new Operand(QuantizedTensor.Cast(x, scaled, contracted, Kernels, reduceAmax, amax, Layout(contracted, bothWays), swizzled: ReadsAlongContracted), null),
        OperandCast.Custom custom => new Operand(null, contracted == 1 ? custom.Quantizer.QuantizeDequantize(x) : Transposed(x, custom.Quantizer)),
        _ => new Operand(null, x.alias()),
    };

    /// <summary>Casts an operand of a layer, in sight of the observer.</summary>
    /// <param name="layer">The layer's FQN.</param>
    /// <param name="name">What is cast, a <see cref="CastName"/>; null for a cast that is the same as one that was shown.</param>
    /// <param name="x">[R, C].</param>
    /// <param name="cast">The cast.</param>
    /// <param name="contracted">The dimension that the matmul contracts.</param>
    /// <param name="reduceAmax">Where ranks hold parts of x; null where this is all of it.</param>
    /// <param name="amax">Magnitudes whose maximum is that of all of x, where they are known already.</param>
    /// <param name="bothWays">Whether a second matmul contracts the other dimension of this cast.</param>
    internal Operand Cast(
        string layer, string? name, Tensor x, OperandCast cast, int contracted, Func<Tensor, Tensor>? reduceAmax = null, Tensor? amax = null, bool bothWays = false)
    {
        var operand = Cast(x, cast, contracted, reduceAmax, amax, bothWays);
        if (Observer is { } observer && name is not null && cast is not OperandCast.HighPrecision) observer.Observe(layer, name, x, operand);
        return operand;
    }

    /// <summary>
    /// Casts an operand that two matmuls read, along rows for one and along columns for the other, together: fewer passes over it. Null where the casts are not of one kind,
    /// or one is enough for both.
    /// </summary>
    internal (Operand Rows, Operand Columns)? CastTwice(Tensor x, OperandCast rows, OperandCast columns)
    {
        if (rows is not OperandCast.Scaled r || columns is not OperandCast.Scaled c) return null;
        CastTarget forRows = new(r.Format, r.Rounding), forColumns = new(c.Format, c.Rounding);
        switch (r.Granularity, c.Granularity)
        {
            case (ScaleGranularity.Rowwise, ScaleGranularity.Rowwise):
                var scaled = Kernels.CastRowsAndColumns(x, forRows, forColumns, Layout(AlongColumns, bothWays: false));
                return (new Operand(QuantizedTensor.From(scaled.Rows, r.Format), null), new Operand(QuantizedTensor.From(scaled.Columns, c.Format), null));
            case (ScaleGranularity.Block one, ScaleGranularity.Block other) when one == other && QuantizedTensor.IsMicroscaling(r.Rounding) && QuantizedTensor.IsMicroscaling(c.Rounding):
                var (along, across) = Kernels.CastBlocks(x, one.Length, forRows, forColumns, swizzled: ReadsAlongContracted);
                return (new Operand(QuantizedTensor.From(along!, r.Format), null), new Operand(QuantizedTensor.From(across!, c.Format), null));
            default:
                return null;
        }
    }

    /// <summary>Casts a layer's weight for one of its two matmuls, or for both at once where one cast serves both.</summary>
    internal Operand CastWeight(string layer, string? name, Tensor w, WeightUse use, IWeightSource source, bool bothWays) =>
        Cast(layer, name, w, WeightCast(use), Contracted(use), source.PartsGroup is null ? null : source.ReduceAmax, WeightAmaxes.Of(source) ?? Known(w, source), bothWays);

    /// <summary>What the optimizer's pass found, where the weight is cast as it lies here.</summary>
    private static Tensor? Known(Tensor w, IWeightSource source) =>
        source.PartsGroup is null && w.dtype == source.Parameter.dtype && source.HoldsAll(w.numel()) ? KnownAmaxes.Of(source.Parameter) : null;

    /// <summary>Casts a layer's weight for both its matmuls in one pass less than one by one; null where that saves none.</summary>
    internal (Operand ForOutput, Operand ForGradInput)? CastWeightTwice(string layer, IWeightSource source)
    {
        if (SameWeightTwice || !Kernels.JoinsCasts(Recipe.Output.Right is OperandCast.Scaled { Granularity: ScaleGranularity.Block })) return null;
        using var w = source.Gather(source.Parameter.dtype);
        if (CastTwice(w, Recipe.Output.Right, Recipe.GradInput.Right) is not var (rows, columns)) return null;
        Observer?.Observe(layer, CastName.Weight, w, rows);
        Observer?.Observe(layer, CastName.WeightForGradInput, w, columns);
        return (rows, columns);
    }

    /// <summary>Whether one cast of the weight, in the layouts that the matmuls read, serves both.</summary>
    internal bool SharesWeightCast => Recipe.GradInput.Right == Recipe.Output.Right && IsSameBothWays(Recipe.Output.Right);

    /// <summary>Whether the matmul reads both its operands along the dimension that it contracts.</summary>
    internal bool ReadsAlongContracted => matmul.ReadsAlongContracted;

    private OperandLayout Layout(int contracted, bool bothWays) => !ReadsAlongContracted ? OperandLayout.Rows
        : bothWays ? OperandLayout.Both : contracted == AlongRows ? OperandLayout.Rows : OperandLayout.Columns;

    /// <summary>How the weight is cast for a use.</summary>
    internal OperandCast WeightCast(WeightUse use) => use == WeightUse.Output ? Recipe.Output.Right : Recipe.GradInput.Right;

    /// <summary>The dimension of the weight [N, K] that a use contracts.</summary>
    internal static int Contracted(WeightUse use) => use == WeightUse.Output ? AlongRows : AlongColumns;

    /// <summary>left · right; both already oriented. In the layer's dtype, or with <paramref name="wide"/> in fp32 where the product has it.</summary>
    internal Tensor Multiply(Operand left, Operand right, MatmulRecipe recipe, ScalarType type, bool wide = false)
    {
        if (left.Quantized is { } a && right.Quantized is { } b)
        {
            Counter.Increment();
            // Blocks filled up the contracted dimension of one operand; the other follows.
            long across = a.Data.Sizes()[1], down = b.Data.Sizes()[0];
            using var filledA = across < down ? Padding.Extend(a, 1, down) : null;
            using var filledB = down < across ? Padding.Extend(b, 0, across) : null;
            return matmul.Multiply(filledA ?? a, filledB ?? b, type, recipe.FastAccumulation, wide);
        }

        using var l = left.InHighPrecision(type);
        using var r = right.InHighPrecision(type);
        return ModelKernels.Multiply(l, r, wide);
    }

    private static LinearRecipe Checked(string name, LinearRecipe recipe, DeviceCapability device, bool emulate)
    {
        recipe.Validate(name);
        foreach (var cast in recipe.Casts().OfType<OperandCast.Scaled>()) Check(name, cast, device, emulate);
        if (device.IsCuda && !emulate)
            foreach (var one in new[] { recipe.Output, recipe.GradInput, recipe.GradWeight }) CheckForTensorCores(name, one);
        return recipe;
    }

    private static Tensor Transposed(Tensor x, IQuantizer quantizer)
    {
        using var t = x.t();
        using var rows = t.contiguous();
        using var result = quantizer.QuantizeDequantize(rows);
        return result.t();
    }

    /// <summary>The tensor cores take blocks on both sides or on none.</summary>
    private static void CheckForTensorCores(string name, MatmulRecipe one)
    {
        if (one is { Left: OperandCast.Scaled left, Right: OperandCast.Scaled right } && left.Granularity is ScaleGranularity.Block != right.Granularity is ScaleGranularity.Block)
            throw new TitanException(ExitCode.Hardware, $"recipe '{name}': no CUDA kernel multiplies {left} by {right}; set emulate = true to run it anyway, slowly");
    }

    private static void Check(string name, OperandCast.Scaled cast, DeviceCapability device, bool emulate)
    {
        var inside = cast.Granularity is ScaleGranularity.Block or ScaleGranularity.Tile;
        var microscaling = QuantizedTensor.IsMicroscaling(cast.Rounding);
        if (microscaling && cast.Granularity is not ScaleGranularity.Block)
            throw new TitanException(ExitCode.Plugin, $"recipe '{name}': scale rounding {cast.Rounding} belongs to block scales; with {cast.Granularity} use None or PowerOfTwo");
        if (cast.Format == Float8Format.E8M0)
            throw new TitanException(ExitCode.Plugin, $"recipe '{name}': {cast.Format} is a format of scales; cast operands to e4m3 or e5m2");
        if (inside && device.IsCuda && !emulate && !(microscaling && cast.Granularity is ScaleGranularity.Block { Length: 32 }))
            throw new TitanException(ExitCode.Hardware,
                $"recipe '{name}': no CUDA kernel multiplies operands with scale granularity {cast.Granularity} and rounding {cast.Rounding}; set emulate = true to run it anyway, slowly");
    }
}
