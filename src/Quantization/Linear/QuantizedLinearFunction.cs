using Titan.Abstractions;
using Titan.Kernels.Activations;
using Titan.Kernels.Aten;
using Titan.Quantization.Scaling;
using Titan.Quantization.Statistics;
using static TorchSharp.torch;

namespace Titan.Quantization.Linear;

/// <summary>
/// The three matmuls of a linear layer, as its recipe says:
/// <code>
/// output       Y[M,N] = X[M,K]  · Wᵀ[K,N]    contracts K
/// grad_input   dX[M,K] = G[M,N] · W[N,K]     contracts N
/// grad_weight  dW[N,K] = Gᵀ[N,M] · X[M,K]    contracts M
/// </code>
/// A tensorwise cast is made once and used by both matmuls of its tensor; where the matmuls read along the dimension that they contract, it is written both ways. Of X, backward
/// keeps the float8 bytes where they are what it needs, else X itself. The weight is asked for again in backward.
/// </summary>
internal sealed class QuantizedLinearFunction(Activation input, QuantizedLinear layer, LinearEngine engine, GradientNote note) : GuardedFunction
{
    private const int X = 0, Weight = 1, AlongRows = LinearEngine.AlongRows, AlongColumns = LinearEngine.AlongColumns;

    private readonly IWeightSource source = layer.Weight;
    private readonly long[] inputShape = [.. input.Values.Sizes()];
    private readonly ScalarType type = input.Values.dtype;

    /// <summary>The bytes that backward keeps of X, without their tensors; null where it keeps X itself.</summary>
    private KeptBytes? kept;

    public override string Name => $"{layer.Fqn} ({engine.Name})";

    /// <summary>X · Wᵀ.</summary>
    /// <param name="input">X.</param>
    /// <param name="layer">The layer.</param>
    /// <param name="engine">What executes its recipe.</param>
    /// <param name="note">Where backward looks for what is known of G.</param>
    public static Tensor Multiply(Activation input, QuantizedLinear layer, LinearEngine engine, GradientNote note) =>
        new QuantizedLinearFunction(input, layer, engine, note).Apply(input.Values, layer.Weight.Parameter);

    private Func<Tensor, Tensor>? ReduceInputAmax => layer.SplitsInput ? source.ReduceAmax : null;

    protected override Tensor Forward(Tensor[] inputs)
    {
        var x = inputs[X];
        var recipe = engine.Recipe.Output;
        var castX = CastInput(recipe.Left);
        var right = CastWeight(WeightUse.Output, CastName.Weight).Transpose();
        var y = engine.Multiply(castX, right, recipe, type);
        if (NeedsGradient(Weight)) Keep(x, castX);
        return y.reshape([.. x.Sizes()[..^1], y.Sizes()[1]]);
    }

    protected override Tensor?[] Backward(Tensor gradient)
    {
        var recipe = engine.Recipe;
        var g = Rows(gradient);
        using var known = KnownGradient.Of(note, gradient);
        bool needsInput = NeedsGradient(X), needsWeight = NeedsGradient(Weight), sharesG = engine.SharesGradientCast;
        Operand? castG = null, columnsOfG = null;
        if (needsInput && needsWeight && !sharesG && known?.Casts is not { Count: > 0 } && engine.CastTwice(g, recipe.GradInput.Left, recipe.GradWeight.Left) is var (rows, columns))
        {
            (castG, columnsOfG) = (rows, columns);
            engine.Observer?.Observe(layer.Fqn, CastName.GradOutput, g, castG);
            engine.Observer?.Observe(layer.Fqn, CastName.GradOutputForGradWeight, g, columnsOfG);
        }
        else if (needsInput || sharesG) castG = Gradient(CastName.GradOutput, recipe.GradInput.Left, AlongRows, bothWays: sharesG && needsWeight);

        Tensor? gradInput = null;
        if (needsInput)
        {
            var castW = CastWeight(WeightUse.GradInput, engine.SameWeightTwice ? null : CastName.WeightForGradInput);
            gradInput = engine.Multiply(castG!, castW, recipe.GradInput, type).reshape(inputShape);
        }

        if (needsWeight)
        {
            var left = (sharesG ? castG! : columnsOfG ?? Gradient(CastName.GradOutputForGradWeight, recipe.GradWeight.Left, AlongColumns)).Transpose();
            var right = kept is not null
                ? new Operand(kept.Restore(Saved), null)
                : engine.Cast(layer.Fqn, CastName.InputForGradWeight, Rows(Saved(0)), recipe.GradWeight.Right, AlongColumns, ReduceInputAmax);
            WeightGradient.Deliver(source, engine.Multiply(left, right, recipe.GradWeight, type, wide: source.Parameter.dtype == ScalarType.Float32));
        }

        return [gradInput, null];

        Operand Gradient(string name, OperandCast cast, int contracted, bool bothWays = false)
        {
            if (known?.Casts.FirstOrDefault(c => c.Key.Equals(engine.Key(cast, contracted))).Cast is Operand came)
            {
                if (engine.Observer is { } observer) observer.Observe(layer.Fqn, name, g, came);
                return came.Alias();
            }

            Func<Tensor, Tensor>? reduce = layer.SplitsOutput ? source.ReduceAmax : null;
            var amax = LinearEngine.IsSameBothWays(cast) ? LinearEngine.Reduced(known?.AmaxParts, reduce) : null;
            return engine.Cast(layer.Fqn, name, g, cast, contracted, reduce, amax, bothWays);
        }
    }

    /// <summary>X for the first matmul: as a layer before this one cast it, or as it came from other ranks, else cast here and left for the next.</summary>
    private Operand CastInput(OperandCast cast)
    {
        if (cast is OperandCast.HighPrecision) return engine.Cast(Rows(input.Values), cast, AlongRows);
        var known = input.Find<InputCast>(engine.Key(cast, AlongRows));
        var shared = known is { IsTaken: true };
        if (known is null)
        {
            known = new InputCast(NewCast(cast));
            input.Attach(engine.Key(cast, AlongRows), known);
        }

        var taken = known.Take();
        engine.Observer?.ObserveInput(layer.Fqn, input.Values, taken, shared);
        return taken;
    }

    private Operand NewCast(OperandCast cast)
    {
        var x = Rows(input.Values);
        Operand made;
        // What grad_weight reads is made on the way, and kept in the place of X.
        if (NeedsGradient(Weight) && engine.CastTwice(x, cast, engine.Recipe.GradWeight.Right) is var (rows, columns))
        {
            made = rows;
            columns.Detach();
            input.Attach(engine.Key(engine.Recipe.GradWeight.Right, AlongColumns), new InputCast(columns));
        }
        else
        {
            var amax = LinearEngine.IsSameBothWays(cast) ? LinearEngine.Reduced(input.AmaxParts, ReduceInputAmax) : null;
            made = engine.Cast(x, cast, AlongRows, ReduceInputAmax, amax, bothWays: engine.SharesInputCast && NeedsGradient(Weight));
        }

        made.Detach();
        return made;
    }

    /// <summary>Keeps of X what the gradient of the weight needs. What came from other ranks as bytes for this use too is kept as such.</summary>
    private void Keep(Tensor x, Operand castX)
    {
        var bytes = (engine.SharesInputCast ? castX : input.Find<InputCast>(engine.Key(engine.Recipe.GradWeight.Right, AlongColumns))?.Take())?.Quantized;
        if (bytes is not null && !engine.SharesInputCast) engine.Observer?.Observe(layer.Fqn, CastName.InputForGradWeight, Rows(x), new Operand(bytes, null));
        if (bytes is null)
        {
            SaveForBackward(x);
            return;
        }

        (kept, var tensors) = KeptBytes.Of(bytes);
        SaveForBackward(tensors);
    }

    /// <summary>The weight as it travelled, where it travels encoded; else cast here, once per step where it stays here.</summary>
    private Operand CastWeight(WeightUse use, string? name)
    {
        if (source.GatherEncoded(use) is Operand gathered) return gathered.Alias();
        if (engine.WeightCast(use) is not OperandCast.Scaled || !layer.HasResidentWeight) return Cast(use, bothWays: false);
        var form = engine.SharesWeightCast ? WeightUse.Output : use;
        if (engine.WeightCasts.Find(source, form) is { } known) return known;
        if (use == WeightUse.Output && BackwardFollows && NeedsGradient(X) && engine.CastWeightTwice(layer.Fqn, source) is var (forOutput, forGradInput))
        {
            engine.WeightCasts.Keep(source, WeightUse.GradInput, forGradInput).Dispose();
            return engine.WeightCasts.Keep(source, WeightUse.Output, forOutput);
        }

        // Where no backward follows, its copy of the bytes is not written, so the cast serves nobody else.
        return BackwardFollows || !engine.ReadsAlongContracted ? engine.WeightCasts.Keep(source, form, Cast(form, engine.SharesWeightCast)) : Cast(use, bothWays: false);

        Operand Cast(WeightUse wanted, bool bothWays) =>
            engine.CastWeight(layer.Fqn, name, source.Gather(source.Parameter.dtype), wanted, source, bothWays);
    }

    private static Tensor Rows(Tensor x)
    {
        var rows = x.reshape(x.Rows(), x.Sizes()[^1]);
        return rows.is_contiguous() ? rows : rows.contiguous();
    }
}
