using Titan.Abstractions;
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
/// A tensorwise cast is made once and used by both matmuls of its tensor; where the matmuls read along the dimension that they contract, it is written both ways. Of X, backward keeps the float8 bytes where they are what it needs, else X itself.
/// The weight is asked for again in backward.
/// </summary>
internal sealed class QuantizedLinearFunction : GuardedFunction<QuantizedLinearFunction>
{
    /// <summary>The form of the bytes that backward keeps of X; nothing where it keeps X itself.</summary>
    private sealed record Kept(Float8Format? Format, (int Rows, int Columns)? Tile);

    private const int AlongRows = LinearEngine.AlongRows, AlongColumns = LinearEngine.AlongColumns;

    protected override Tensor Forward(autograd.AutogradContext context, object[] inputs)
    {
        var x = (Tensor)inputs[0];
        var source = (IWeightSource)inputs[2];
        var engine = (LinearEngine)inputs[3];
        var fqn = (string)inputs[6];
        var recipe = engine.Recipe.Output;
        var type = x.dtype;
        var castX = engine.Inputs.Take(x, recipe.Left, AlongRows, () =>
        {
            using var rows = Rows(x);
            return engine.Cast(rows, recipe.Left, AlongRows, (bool)inputs[7] ? source.ReduceAmax : null, bothWays: engine.SharesInputCast && (bool)inputs[5]);
        }, out var shared);
        if (recipe.Left is not OperandCast.HighPrecision) engine.Observer?.ObserveInput(fqn, x, castX, shared);
        using var castW = Weight(engine, source, fqn, WeightUse.Output, CastName.Weight);
        using var right = castW.Transpose();
        using var y = engine.Multiply(castX, right, recipe, type);

        context.save_data("source", source);
        context.save_data("engine", engine);
        context.save_data("needs_input_gradient", inputs[4]);
        context.save_data("needs_weight_gradient", inputs[5]);
        context.save_data("input_shape", x.shape);
        context.save_data("type", type);
        context.save_data("fqn", fqn);
        context.save_data("splits_input", inputs[7]);
        context.save_data("splits_output", inputs[8]);
        // What came from other ranks as bytes for this use too is kept as such.
        var kept = engine.SharesInputCast ? castX : engine.Inputs.Find(x, engine.Recipe.GradWeight.Right, AlongColumns);
        context.save_data("kept", new Kept(kept?.Quantized?.Format, kept?.Quantized?.Tile));
        // One copy: the one that grad_weight reads.
        context.save_for_backward(kept?.Quantized is { } bytes ? [bytes.AlongColumns(), bytes.Scale] : [x]);

        if (!ReferenceEquals(kept, castX)) castX.Dispose();

        return y.reshape([.. x.shape[..^1], y.shape[1]]);
    }

    protected override List<Tensor?> Backward(autograd.AutogradContext context, Tensor gradient)
    {
        using var scope = NewDisposeScope();
        var source = (IWeightSource)context.get_data("source");
        var engine = (LinearEngine)context.get_data("engine");
        var type = (ScalarType)context.get_data("type");
        var fqn = (string)context.get_data("fqn");
        var inputShape = (long[])context.get_data("input_shape");
        var saved = context.get_saved_variables();
        var recipe = engine.Recipe;
        var g = Rows(gradient);

        bool needsInput = (bool)context.get_data("needs_input_gradient"), needsWeight = (bool)context.get_data("needs_weight_gradient");
        var sharesG = engine.SharesGradientCast;
        Func<Tensor, Tensor>? reduce = (bool)context.get_data("splits_output") ? source.ReduceAmax : null;
        var castG = needsInput || sharesG ? Gradient(CastName.GradOutput, recipe.GradInput.Left, AlongRows, bothWays: sharesG && needsWeight) : null;
        Tensor? gradInput = null, gradWeight = null;
        if (needsInput)
        {
            var castW = Weight(engine, source, fqn, WeightUse.GradInput, engine.SameWeightTwice ? null : CastName.WeightForGradInput);
            gradInput = engine.Multiply(castG!, castW, recipe.GradInput, type).reshape(inputShape).MoveToOuterDisposeScope();
        }

        if (needsWeight)
        {
            var left = (sharesG ? castG! : Gradient(CastName.GradOutputForGradWeight, recipe.GradWeight.Left, AlongColumns)).Transpose();
            var right = (Kept)context.get_data("kept") is { Format: { } format, Tile: var tile }
                ? new Operand(new QuantizedTensor(saved[0], saved[1], format, tile), null)
                : engine.Cast(fqn, CastName.InputForGradWeight, Rows(saved[0]), recipe.GradWeight.Right, AlongColumns, (bool)context.get_data("splits_input") ? source.ReduceAmax : null);
            gradWeight = source.ReduceGradient(engine.Multiply(left, right, recipe.GradWeight, type))?.MoveToOuterDisposeScope();
        }

        return [gradInput, gradWeight, .. new Tensor?[7]];

        Operand Gradient(string name, OperandCast cast, int contracted, bool bothWays = false)
        {
            if (engine.Gradients.Take(gradient, cast, contracted) is not { } offered) return engine.Cast(fqn, name, g, cast, contracted, reduce, bothWays: bothWays);
            if (engine.Observer is { } observer) observer.Observe(fqn, name, g, offered);
            return offered;
        }
    }

    /// <summary>The weight as it travelled, where it travels encoded; else cast here.</summary>
    private static Operand Weight(LinearEngine engine, IWeightSource source, string fqn, WeightUse use, string? name)
    {
        if (source.GatherEncoded(use) is Operand gathered) return gathered.Alias();
        using var w = source.Gather(source.Parameter.dtype);
        return engine.CastWeight(fqn, name, w, use, source);
    }

    private static Tensor Rows(Tensor x) => x.reshape(x.numel() == 0 ? x.shape[..^1].Aggregate(1L, (a, b) => a * b) : -1, x.shape[^1]).contiguous();
}
