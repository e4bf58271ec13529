/// <summary>A good plugin: its own module, with its own autograd function in it.</summary>
[ExportConverter("acme.trains_a_step")]
public sealed class Plugin() : EveryLinear("acme.trains_a_step")
{
    protected override Tensor Forward(Tensor x, nn.Module<Tensor, Tensor> linear)
    {
        using var y = linear.call(x);
        return Twice.Apply(y);
    }
}

public sealed class Twice : GuardedFunction<Twice>
{
    protected override Tensor Forward(autograd.AutogradContext context, object[] inputs) => (Tensor)inputs[0] * 2;

    protected override List<Tensor?> Backward(autograd.AutogradContext context, Tensor gradient) => [gradient * 2];
}
