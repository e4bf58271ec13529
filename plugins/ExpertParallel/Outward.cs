using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.ExpertParallel;

/// <summary>Forward: this rank's rows [n, D] become the rows [M, D] of its experts. Backward: the gradients go home, in their own dtype.</summary>
internal sealed class Outward(Crossing crossing) : GuardedFunction
{
    private EncodedActivation? encoded;

    /// <summary>Waits for rows that are under way.</summary>
    public static Activation Apply(Tensor rows, Crossing crossing)
    {
        var function = new Outward(crossing);
        var there = new Activation(function.Apply(rows));
        if (function.encoded is { } planes) crossing.Attach(there, planes);
        function.encoded = null;
        return there;
    }

    protected override Tensor Forward(Tensor[] inputs)
    {
        SaveForBackward(crossing.Route.Places);
        (var rows, encoded) = crossing.Arrive(crossing.Route.Places);
        return rows;
    }

    protected override Tensor?[] Backward(Tensor gradient) => [crossing.Route.Back(gradient.index_select(0, Saved(0)))];
}

/// <summary>Forward: the results [M, D] of this rank's experts go home, [n, D], in their own dtype. Backward: the gradients go to the experts as the wire says.</summary>
internal sealed class Homeward(Route route, Func<Tensor, RowWire> wire) : GuardedFunction
{
    /// <summary>Brings results home.</summary>
    /// <param name="results">[M, D].</param>
    /// <param name="route">The way.</param>
    /// <param name="wire">How gradients like a tensor travel.</param>
    public static Tensor Apply(Tensor results, Route route, Func<Tensor, RowWire> wire) => new Homeward(route, wire).Apply(results);

    protected override Tensor Forward(Tensor[] inputs)
    {
        SaveForBackward(route.Places);
        return route.Back(inputs[0].index_select(0, route.Places));
    }

    protected override Tensor?[] Backward(Tensor gradient)
    {
        var (rows, encoded) = Crossing.Begin(route, wire(gradient), gradient).Arrive(Saved(0));
        foreach (var plane in encoded?.Planes ?? []) plane.Dispose();
        return [rows];
    }
}
