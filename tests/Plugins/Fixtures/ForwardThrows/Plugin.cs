/// <summary>Works for two steps; in the third, the first layer fails: on one rank, if ACME_FAILING_RANK names it.</summary>
[ExportConverter("acme.forward_throws")]
public sealed class Plugin() : EveryLinear("acme.forward_throws")
{
    private static readonly bool Fails = Environment.GetEnvironmentVariable("ACME_FAILING_RANK") is not { } rank || rank == Environment.GetEnvironmentVariable("OMPI_COMM_WORLD_RANK");

    protected override Func<Tensor, nn.Module<Tensor, Tensor>, Tensor> Compute(object options)
    {
        var call = 0;
        return (x, linear) => ++call < 3 || !Fails ? linear.call(x) : throw new InvalidOperationException("thrown by forward");
    }
}
