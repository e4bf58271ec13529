[ExportConverter("acme.backward_throws")]
public sealed class Plugin() : EveryLinear("acme.backward_throws")
{
    protected override Tensor Forward(Tensor x, nn.Module<Tensor, Tensor> linear)
    {
        using var y = linear.call(x);
        return Failing.Apply(y);
    }
}

public sealed class Failing : GuardedFunction<Failing>
{
    protected override Tensor Forward(autograd.AutogradContext context, object[] inputs) => ((Tensor)inputs[0]).clone();

    protected override List<Tensor?> Backward(autograd.AutogradContext context, Tensor gradient) => throw new InvalidOperationException("thrown by backward");
}
