using TorchSharp;
using static TorchSharp.torch;

namespace Titan.Kernels.Aten;

/// <summary>One call of an ATen operator that TorchSharp does not bind, through the dispatcher, so that autograd sees it. Arguments are pushed in schema order.</summary>
internal sealed class DispatcherCall(string op, string overload = "")
{
    private readonly List<ulong> stack = [];
    private readonly List<Tensor> alive = [];

    public DispatcherCall Push(Tensor tensor)
    {
        stack.Add((ulong)Copy(tensor));
        return this;
    }

    public DispatcherCall Push(IReadOnlyList<Tensor> tensors)
    {
        var list = List(tensors.Count);
        foreach (var tensor in tensors) Check(Shim.PushBack(list, (ulong)Copy(tensor)));
        stack.Add((ulong)list);
        return this;
    }

    public DispatcherCall Push(IReadOnlyList<long> values)
    {
        var list = List(values.Count);
        foreach (var value in values) Check(Shim.PushBack(list, (ulong)value));
        stack.Add((ulong)list);
        return this;
    }

    public DispatcherCall Push(double value)
    {
        stack.Add(BitConverter.DoubleToUInt64Bits(value));
        return this;
    }

    public DispatcherCall Push(bool value)
    {
        stack.Add(value ? 1UL : 0UL);
        return this;
    }

    public DispatcherCall Push(ScalarType type)
    {
        stack.Add((ulong)(int)type);
        return this;
    }

    public DispatcherCall PushOptional(Tensor tensor) => PushOptional((ulong)Copy(tensor));

    public DispatcherCall PushOptional(double value) => PushOptional(BitConverter.DoubleToUInt64Bits(value));

    public DispatcherCall PushOptional(ScalarType type) => PushOptional((ulong)(int)type);

    public DispatcherCall PushNone()
    {
        stack.Add(0);
        return this;
    }

    /// <summary>Calls an operator that returns one tensor.</summary>
    public Tensor Tensor()
    {
        Run();
        return torch.Tensor.UnsafeCreateTensor((nint)stack[0]);
    }

    /// <summary>Calls an operator that returns one integer.</summary>
    public long Number()
    {
        Run();
        return (long)stack[0];
    }

    /// <summary>Calls an operator.</summary>
    public void Run()
    {
        // The stack must have room for at least one result.
        if (stack.Count == 0) stack.Add(0);
        var values = stack.ToArray();
        Check(Shim.CallDispatcher(op, overload, values, Shim.Version));
        stack.Clear();
        stack.AddRange(values);
        foreach (var tensor in alive) GC.KeepAlive(tensor);
    }

    private unsafe DispatcherCall PushOptional(ulong value)
    {
        var pointer = Shim.New(sizeof(ulong));
        *(ulong*)pointer = value;
        stack.Add((ulong)pointer);
        return this;
    }

    /// <summary>The dispatcher steals its arguments, so it gets handles of its own.</summary>
    private nint Copy(Tensor tensor)
    {
        alive.Add(tensor);
        Check(Shim.NewTensorHandle(tensor.Handle, out var copy));
        return copy;
    }

    private nint List(int size)
    {
        Check(Shim.NewList((nuint)size, out var list));
        return list;
    }

    private void Check(int code)
    {
        if (code != 0) throw new InvalidOperationException($"{op} failed; libtorch wrote the reason to standard error");
    }
}
