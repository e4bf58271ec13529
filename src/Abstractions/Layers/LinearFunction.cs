using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>
/// The linear layer in high precision. Output X · Wᵀ [M,N], grad_input G · W [M,K], grad_weight Gᵀ · X [N,K], all in the dtype of X.
/// The weight is asked for in forward and again in backward instead of being saved.
/// </summary>
internal sealed class LinearFunction : GuardedFunction<LinearFunction>
{
    protected override Tensor Forward(autograd.AutogradContext context, object[] inputs)
    {
        var x = (Tensor)inputs[0];
        var source = (IWeightSource)inputs[2];
        context.save_for_backward([x]);
        context.save_data("source", source);
        context.save_data("needs_input_gradient", inputs[3]);
        var multiply = (Func<Tensor, Tensor, Tensor>)inputs[4];
        context.save_data("multiply", multiply);
        using var weight = source.Gather(x.dtype);
        using var transposed = weight.t();
        return multiply(x, transposed);
    }

    protected override List<Tensor?> Backward(autograd.AutogradContext context, Tensor gradient)
    {
        var x = context.get_saved_variables()[0];
        var source = (IWeightSource)context.get_data("source");
        var multiply = (Func<Tensor, Tensor, Tensor>)context.get_data("multiply");
        Tensor? gradInput = null;
        if ((bool)context.get_data("needs_input_gradient"))
        {
            using var weight = source.Gather(gradient.dtype);
            gradInput = multiply(gradient, weight);
        }

        using var g = gradient.reshape(-1, gradient.shape[^1]);
        using var transposed = g.t();
        using var rows = x.reshape(-1, x.shape[^1]);
        using var gradWeight = multiply(transposed, rows);
        return [gradInput, source.ReduceGradient(gradWeight), null, null, null];
    }
}
