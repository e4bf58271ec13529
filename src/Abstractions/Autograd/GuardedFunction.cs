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
        // Where a later function failed, its gradient is missing. TorchSharp would make zeros from an output that is long disposed, and the process would die.
        ctx.set_materialize_grads(false);
        return Forward(ctx, vars);
    }

    /// <inheritdoc />
    public sealed override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        if (grad_output is null) return Nothing(ctx);
        BackwardPass.Enter();
        try
        {
            using var scope = NewDisposeScope();
            var gradients = Backward(ctx, grad_output);
            foreach (var gradient in gradients) gradient?.MoveToOuterDisposeScope();
            return gradients!;
        }
        catch (Exception exception)
        {
            BackwardFailure.Keep(exception);
            return Nothing(ctx);
        }
        finally
        {
            BackwardPass.Leave();
        }
    }

    private static List<Tensor> Nothing(autograd.AutogradContext context) => [.. new Tensor[(int)context.get_data(InputCount)]];
}
