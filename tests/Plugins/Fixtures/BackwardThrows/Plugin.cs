[ExportConverter("acme.backward_throws")]
public sealed class Plugin() : EveryLinear("acme.backward_throws")
{
    protected override Tensor Forward(Tensor x, nn.Module<Tensor, Tensor> linear)
    {
        using var y = linear.call(x);
        return Failing.Of(y);
    }
}

public sealed class Failing : GuardedFunction
{
    public static Tensor Of(Tensor x) => new Failing().Apply(x);

    protected override Tensor Forward(Tensor[] inputs) => inputs[0].clone();

    protected override Tensor?[] Backward(Tensor gradient) => throw new InvalidOperationException("thrown by backward");
}
