/// <summary>What its layers return.</summary>
public enum Result
{
    Null,
    Same,
    Shape,
    Dtype,
    Disposed,
}

public sealed record LayerOptions
{
    public Result Result { get; init; }
}

/// <summary>Layers whose result does not fit, in a way that the job chooses.</summary>
[ExportConverter("acme.layer_gaps")]
public sealed class Plugin() : EveryLinear("acme.layer_gaps"), IModelConverter
{
    public Type OptionsType => typeof(LayerOptions);

    protected override Func<Tensor, nn.Module<Tensor, Tensor>, Tensor> Compute(object options) => (x, linear) => Forward(x, linear, ((LayerOptions)options).Result);

    private static Tensor Forward(Tensor x, nn.Module<Tensor, Tensor> linear, Result result)
    {
        var y = linear.call(x);
        switch (result)
        {
            case Result.Null: return null!;
            case Result.Same: return x;
            case Result.Shape: return y.narrow(-1, 0, y.shape[^1] - 1);
            case Result.Dtype: return y.to(ScalarType.Float64);
            default:
                y.Dispose();
                return y;
        }
    }
}
