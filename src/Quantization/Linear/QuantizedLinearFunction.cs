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
internal sealed class QuantizedLinearFunction(QuantizedLinear layer, LinearEngine engine) : GuardedFunction
{
    private const int X = 0, Weight = 1, AlongRows = LinearEngine.AlongRows, AlongColumns = LinearEngine.AlongColumns;

    private readonly IWeightSource source = layer.Weight;
    private long[] inputShape = [];
    private ScalarType type;

    /// <summary>The form of the bytes that backward keeps of X; null where it keeps X itself.</summary>
    private (Float8Format Format, (int Rows, int Columns)? Tile)? kept;

    public override string Name => $"Float8Linear {layer.Fqn}";

    /// <summary>X · Wᵀ.</summary>
    public static Tensor Multiply(Tensor x, QuantizedLinear layer, LinearEngine engine) => new QuantizedLinearFunction(layer, engine).Apply(x, layer.Weight.Parameter);

    protected override Tensor Forward(Tensor[] inputs)
    {
        var x = inputs[X];
        var recipe = engine.Recipe.Output;
        (type, inputShape) = (x.dtype, x.shape);
        var castX = engine.Inputs.Take(x, recipe.Left, AlongRows, () =>
        {
            using var rows = Rows(x);
            return engine.Cast(rows, recipe.Left, AlongRows, layer.SplitsInput ? source.ReduceAmax : null, bothWays: engine.SharesInputCast && NeedsGradient(Weight));
        }, out var shared);
        if (recipe.Left is not OperandCast.HighPrecision) engine.Observer?.ObserveInput(layer.Fqn, x, castX, shared);
        using var castW = CastWeight(WeightUse.Output, CastName.Weight);
        using var right = castW.Transpose();
        using var y = engine.Multiply(castX, right, recipe, type);
        if (NeedsGradient(Weight)) Keep(x, castX);
        castX.Dispose();
        return y.reshape([.. x.shape[..^1], y.shape[1]]);
    }

    protected override Tensor?[] Backward(Tensor gradient)
    {
        var recipe = engine.Recipe;
        var g = Rows(gradient);
        bool needsInput = NeedsGradient(X), needsWeight = NeedsGradient(Weight), sharesG = engine.SharesGradientCast;
        Func<Tensor, Tensor>? reduce = layer.SplitsOutput ? source.ReduceAmax : null;
        var castG = needsInput || sharesG ? Gradient(CastName.GradOutput, recipe.GradInput.Left, AlongRows, bothWays: sharesG && needsWeight) : null;
        Tensor? gradInput = null;
        if (needsInput)
        {
            var castW = CastWeight(WeightUse.GradInput, engine.SameWeightTwice ? null : CastName.WeightForGradInput);
            gradInput = engine.Multiply(castG!, castW, recipe.GradInput, type).reshape(inputShape);
        }

        if (needsWeight)
        {
            var left = (sharesG ? castG! : Gradient(CastName.GradOutputForGradWeight, recipe.GradWeight.Left, AlongColumns)).Transpose();
            var right = kept is var (format, tile)
                ? new Operand(new QuantizedTensor(Saved(0), Saved(1), format, tile), null)
                : engine.Cast(layer.Fqn, CastName.InputForGradWeight, Rows(Saved(0)), recipe.GradWeight.Right, AlongColumns, layer.SplitsInput ? source.ReduceAmax : null);
            WeightGradient.Deliver(source, engine.Multiply(left, right, recipe.GradWeight, type, wide: source.Parameter.dtype == ScalarType.Float32));
        }

        return [gradInput, null];

        Operand Gradient(string name, OperandCast cast, int contracted, bool bothWays = false)
        {
            if (engine.Gradients.Take(gradient, cast, contracted) is not { } offered) return engine.Cast(layer.Fqn, name, g, cast, contracted, reduce, bothWays: bothWays);
            if (engine.Observer is { } observer) observer.Observe(layer.Fqn, name, g, offered);
            return offered;
        }
    }

    /// <summary>Keeps of X what the gradient of the weight needs. What came from other ranks as bytes for this use too is kept as such.</summary>
    private void Keep(Tensor x, Operand castX)
    {
        var bytes = (engine.SharesInputCast ? castX.Alias() : engine.Inputs.Find(x, engine.Recipe.GradWeight.Right, AlongColumns))?.Quantized;
        if (bytes is null)
        {
            SaveForBackward(x);
            return;
        }

        // One copy: the one that grad_weight reads.
        SaveForBackward(bytes.AlongColumns(), bytes.Scale);
        kept = (bytes.Format, bytes.Tile);
    }

    /// <summary>The weight as it travelled, where it travels encoded; else cast here.</summary>
    private Operand CastWeight(WeightUse use, string? name)
    {
        if (source.GatherEncoded(use) is Operand gathered) return gathered.Alias();
        using var w = source.Gather(source.Parameter.dtype);
        return engine.CastWeight(layer.Fqn, name, w, use, source);
    }

    private static Tensor Rows(Tensor x) => x.reshape(x.numel() == 0 ? x.shape[..^1].Aggregate(1L, (a, b) => a * b) : -1, x.shape[^1]).contiguous();
}
