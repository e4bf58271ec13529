using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Quantization.Linear;
using Titan.Quantization.Scaling;
using Titan.Quantization.Statistics;
using static TorchSharp.torch;

namespace Titan.Quantization.Grouped;

/// <summary>
/// The three matmuls of experts, as their recipe says, e being the expert whose group a row is in:
/// <code>
/// output       Y[M,N]      = X[M,K] · W[e]ᵀ[K,N]        contracts K
/// grad_input   dX[M,K]     = G[M,N] · W[e][N,K]         contracts N
/// grad_weight  dW[e][N,K]  = G[e]ᵀ[N,m] · X[e][m,K]     contracts the m rows of the group
/// </code>
/// X for grad_weight is cast in forward and kept as bytes in its place; w1 and w3, which read the same X, share both casts. The weight is asked for again in backward.
/// </summary>
internal sealed class QuantizedGroupedFunction(Activation input, RowGroups groups, IWeightSource source, GroupedEngine engine, string fqn) : GuardedFunction
{
    private const int X = 0, Weight = 1;

    private readonly LinearEngine linear = engine.Linear;
    private readonly ScalarType type = input.Values.dtype;

    /// <summary>The bytes that backward keeps of X, without their tensors; null where it keeps X itself.</summary>
    private KeptBytes? kept;

    public override string Name => $"{fqn} ({linear.Name})";

    /// <summary>X · W[e]ᵀ.</summary>
    /// <param name="input">X.</param>
    /// <param name="groups">Divides M; checked.</param>
    /// <param name="source">Where the weight comes from.</param>
    /// <param name="engine">What executes the recipe.</param>
    /// <param name="fqn">The weight's fully qualified name.</param>
    public static Tensor Multiply(Activation input, RowGroups groups, IWeightSource source, GroupedEngine engine, string fqn) =>
        new QuantizedGroupedFunction(input, groups, source, engine, fqn).Apply(input.Values, source.Parameter);

    protected override Tensor Forward(Tensor[] inputs)
    {
        var recipe = engine.Recipe;
        var x = Contiguous(inputs[X]);
        var castX = CastInput(recipe.Output.Left, LinearEngine.AlongRows, CastName.Input, cast => engine.CastRows(fqn, CastName.Input, x, cast));
        using var weight = CastWeight(WeightUse.Output, CastName.Weight, x.Sizes()[1]);
        var y = engine.MultiplyRows(castX, weight, isTransposed: true, groups, type);
        if (BackwardFollows) SaveForBackward([groups.Ends, .. NeedsGradient(Weight) ? Kept(x) : []]);
        return y;
    }

    protected override Tensor?[] Backward(Tensor gradient)
    {
        var recipe = engine.Recipe;
        var g = Contiguous(gradient);
        var there = groups.Over(Saved(0));
        Tensor? gradInput = null;
        if (NeedsGradient(X))
        {
            using var rows = engine.CastRows(fqn, CastName.GradOutput, g, recipe.GradInput.Left);
            using var weight = CastWeight(WeightUse.GradInput, CastName.WeightForGradInput, null);
            gradInput = engine.MultiplyRows(rows, weight, isTransposed: false, there, type);
        }

        if (NeedsGradient(Weight))
        {
            using var left = engine.CastColumns(fqn, CastName.GradOutputForGradWeight, g, recipe.GradWeight.Left, there);
            using var right = new Operand(kept?.Restore(i => Saved(1 + i)), kept is null ? Saved(1).alias() : null);
            using var gradWeight = engine.MultiplyColumns(left, right, there, type, wide: source.Parameter.dtype == ScalarType.Float32);
            WeightGradient.Deliver(source, gradWeight);
        }

        return [gradInput, null];
    }

    /// <summary>A cast of X, in sight of the observer: as it came from other ranks or as the weight before this one left it, else made here and left for the next.</summary>
    private Operand CastInput(OperandCast cast, int contracted, string name, Func<OperandCast, Operand> make)
    {
        if (cast is OperandCast.HighPrecision) return make(cast);
        var key = linear.Key(cast, contracted);
        if (input.Find<InputCast>(key) is { } known)
        {
            var taken = known.Take();
            engine.Observe(fqn, name, input.Values, taken, groups);
            return taken;
        }

        var made = make(cast);
        made.Detach();
        var left = new InputCast(made);
        input.Attach(key, left);
        return left.Take();
    }

    /// <summary>What the gradient of the weight needs of X.</summary>
    private Tensor[] Kept(Tensor x)
    {
        var cast = CastInput(engine.Recipe.GradWeight.Right, LinearEngine.AlongColumns, CastName.InputForGradWeight, c => engine.CastColumns(fqn, CastName.InputForGradWeight, x, c, groups));
        if (cast.Quantized is not { } bytes) return [x];
        (kept, var tensors) = KeptBytes.Of(bytes);
        return tensors;
    }

    /// <summary>The weight cast for a use: once per step where it lies here as it is.</summary>
    private Operand CastWeight(WeightUse use, string name, long? inner)
    {
        var isResident = linear.WeightCast(use) is OperandCast.Scaled && source.HoldsAll(groups.Count * source.Layout.GlobalShape[1] * source.Layout.GlobalShape[2]);
        if (isResident && linear.WeightCasts.Find(source, use) is { } known) return known;
        using var weight = source.Gather(linear.WeightCast(use) is OperandCast.Scaled ? source.Parameter.dtype : type);
        if (weight.dim() != 3 || weight.Sizes()[0] != groups.Count || inner is { } k && weight.Sizes()[2] != k)
            throw new ArgumentException($"{fqn}: weight [{string.Join(", ", weight.shape)}] for {groups.Count} groups of rows with {inner} columns; expected [{groups.Count}, N, {inner}]");
        var made = engine.CastWeight(fqn, name, weight, use);
        return isResident ? linear.WeightCasts.Keep(source, use, made) : made;
    }

    private static Tensor Contiguous(Tensor x) => x.is_contiguous() ? x : x.contiguous();
}
