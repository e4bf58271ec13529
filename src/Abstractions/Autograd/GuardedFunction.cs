using TorchSharp;
using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>
/// Base of every custom autograd function. It opens the dispose scope that TorchSharp's <c>apply</c> needs (without it the collector can free temporaries that native
/// code still uses), and it catches what a backward throws (see <see cref="BackwardFailure"/>).
/// Instances are shared: keep no state in fields, put it into the context.
/// </summary>
/// <typeparam name="TSelf">The derived class.</typeparam>
public abstract class GuardedFunction<TSelf> : autograd.SingleTensorFunction<TSelf> where TSelf : GuardedFunction<TSelf>, new()
{
    private const string InputCount = "titan.input_count";

    /// <inheritdoc />
    public override string Name => typeof(TSelf).Name;

    /// <summary>Runs the function on <paramref name="inputs"/>; those that are tensors may receive gradients.</summary>
    /// <returns>The output, in the dispose scope of the caller.</returns>
    public static Tensor Apply(params object[] inputs)
    {
        using var scope = NewDisposeScope();
        return apply(inputs).MoveToOuterDisposeScope();
    }

    /// <summary>Computes the output, under no_grad.</summary>
    protected abstract Tensor Forward(autograd.AutogradContext context, object[] inputs);

    /// <summary>Computes one gradient per input, null for those that have none.</summary>
    protected abstract List<Tensor?> Backward(autograd.AutogradContext context, Tensor gradient);

    /// <inheritdoc />
    public sealed override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        ctx.save_data(InputCount, vars.Length);
        return Forward(ctx, vars);
    }

    /// <inheritdoc />
    public sealed override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        try
        {
            return Backward(ctx, grad_output)!;
        }
        catch (Exception exception)
        {
            BackwardFailure.Keep(exception);
            return [.. new Tensor[(int)ctx.get_data(InputCount)]];
        }
    }
}
