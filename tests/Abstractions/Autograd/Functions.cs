using static TorchSharp.torch;

namespace Titan.Abstractions.Tests.Autograd;

/// <summary>x · y, and x + y.</summary>
internal sealed class Product : GuardedMultiFunction
{
    public static Tensor[] Of(Tensor x, Tensor y) => new Product().Run(x, y);

    /// <summary>Which gradients were missing.</summary>
    public bool[]? Missing { get; private set; }

    public Tensor[] Run(Tensor x, Tensor y) => Apply(x, y);

    protected override Tensor[] Forward(Tensor[] inputs)
    {
        SaveForBackward(inputs);
        return [inputs[0] * inputs[1], inputs[0] + inputs[1]];
    }

    protected override Tensor?[] Backward(Tensor?[] gradients)
    {
        Missing = [.. gradients.Select(g => g is null)];
        Tensor product = gradients[0] ?? zeros_like(gradients[1]!), sum = gradients[1] ?? zeros_like(product);
        return [NeedsGradient(0) ? product * Saved(1) + sum : null, NeedsGradient(1) ? product * Saved(0) + sum : null];
    }
}

/// <summary>A copy that saves another copy, and says when its backward begins and when it has made its gradient.</summary>
internal sealed class Watched(Action begins, Action ends) : GuardedFunction
{
    public static Tensor Of(Tensor x, Action begins, Action ends) => new Watched(begins, ends).Apply(x);

    protected override Tensor Forward(Tensor[] inputs)
    {
        SaveForBackward(inputs[0].clone());
        return inputs[0].clone();
    }

    protected override Tensor?[] Backward(Tensor gradient)
    {
        begins();
        var result = gradient * Saved(0);
        ends();
        return [result];
    }
}

/// <summary>An output of a size of its own, whose memory nobody touches.</summary>
internal sealed class Wide(long elements) : GuardedFunction
{
    public static Tensor Of(Tensor x, long elements) => new Wide(elements).Apply(x);

    protected override Tensor Forward(Tensor[] inputs) => elements < 0 ? throw new InvalidOperationException("on purpose") : empty(elements);

    protected override Tensor?[] Backward(Tensor gradient) => [gradient.sum().reshape(1)];
}

/// <summary>Gives one gradient too few.</summary>
internal sealed class Forgetful : GuardedFunction
{
    public static Tensor Of(Tensor x, Tensor y) => new Forgetful().Apply(x, y);

    protected override Tensor Forward(Tensor[] inputs) => inputs[0] + inputs[1];

    protected override Tensor?[] Backward(Tensor gradient) => [gradient.alias()];
}

/// <summary>Saves a large tensor, and lets go of it in the middle of its backward.</summary>
internal sealed class Taker : GuardedFunction
{
    public long Before { get; private set; }

    public long After { get; private set; }

    public Exception? Again { get; private set; }

    public Tensor Of(Tensor x, long elements)
    {
        this.elements = elements;
        return Apply(x);
    }

    private long elements;

    protected override Tensor Forward(Tensor[] inputs)
    {
        SaveForBackward(ones(elements), inputs[0]);
        return inputs[0] * 2;
    }

    protected override Tensor?[] Backward(Tensor gradient)
    {
        Before = Memory.Resident();
        using (TakeSaved(0))
        {
        }

        After = Memory.Resident();
        Again = Record.Exception(() => Saved(0));
        return [gradient * Saved(1)];
    }
}

/// <summary>x², whose backward runs another graph's.</summary>
internal sealed class Again : GuardedFunction
{
    public static Tensor Of(Tensor x) => new Again().Apply(x);

    protected override Tensor Forward(Tensor[] inputs)
    {
        SaveForBackward(inputs[0]);
        return inputs[0] * inputs[0];
    }

    protected override Tensor?[] Backward(Tensor gradient)
    {
        using var enabled = enable_grad();
        var x = Saved(0).detach().requires_grad_(true);
        Product.Of(x, x)[0].backward([gradient]);
        return [x.grad];
    }
}

/// <summary>This process's memory, in bytes.</summary>
internal static class Memory
{
    public static long Virtual() => Pages(0);

    public static long Resident() => Pages(1);

    private static long Pages(int field) => long.Parse(File.ReadAllText("/proc/self/statm").Split(' ')[field]) * Environment.SystemPageSize;
}
