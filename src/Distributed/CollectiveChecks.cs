using TorchSharp;
using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Distributed;

/// <summary>What a group refuses before anything is sent: wrong shapes, types, devices, memory layouts.</summary>
/// <param name="name">The group's name.</param>
/// <param name="size">Its number of ranks.</param>
/// <param name="device">Where its tensors live.</param>
internal sealed class CollectiveChecks(string name, int size, Device device)
{
    /// <summary>Every output [Size * n, ...] against its input [n, ...].</summary>
    public void Gather(IReadOnlyList<Tensor> outputs, IReadOnlyList<Tensor> inputs)
    {
        Same(Verb.AllGatherIntoTensor, outputs, inputs);
        for (var i = 0; i < outputs.Count; i++) Ratio(Verb.AllGatherIntoTensor, outputs[i], "output", inputs[i], "input");
    }

    /// <summary>Every input [Size * n, ...] against its output [n, ...], all of one type that can be added.</summary>
    public void Scatter(IReadOnlyList<Tensor> outputs, IReadOnlyList<Tensor> inputs)
    {
        Same(Verb.ReduceScatterTensor, outputs, inputs);
        for (var i = 0; i < outputs.Count; i++)
        {
            Ratio(Verb.ReduceScatterTensor, inputs[i], "input", outputs[i], "output");
            Reducible(Verb.ReduceScatterTensor, inputs[i], brain: true);
            if (inputs[i].dtype != inputs[0].dtype)
                throw Refused(Verb.ReduceScatterTensor, $"input {i} {Quantities.Shape(inputs[i])} has another type than input 0 {Quantities.Shape(inputs[0])}; reduce them in calls of their own");
        }
    }

    /// <summary><paramref name="large"/> [Size * n, ...] against <paramref name="small"/> [n, ...].</summary>
    public void Ratio(Verb verb, Tensor large, string largeName, Tensor small, string smallName)
    {
        Tensor(verb, large, largeName);
        Tensor(verb, small, smallName);
        if (large.dtype != small.dtype)
            throw Refused(verb, $"{largeName} {Quantities.Shape(large)} and {smallName} {Quantities.Shape(small)} have different types");
        if (large.numel() != small.numel() * size)
            throw Refused(verb, $"{largeName} {Quantities.Shape(large)} must have {size} times the elements of {smallName} {Quantities.Shape(small)}");
    }

    public void AllToAll(Tensor output, Tensor input)
    {
        Tensor(Verb.AllToAllSingle, output, "output");
        Tensor(Verb.AllToAllSingle, input, "input");
        if (output.dtype != input.dtype || output.numel() != input.numel())
            throw Refused(Verb.AllToAllSingle, $"output {Quantities.Shape(output)} and input {Quantities.Shape(input)} must have the same type and number of elements");
        if (input.numel() % size != 0)
            throw Refused(Verb.AllToAllSingle, $"input {Quantities.Shape(input)} does not divide into {size} equal slices");
    }

    public void Source(int source)
    {
        if (source < 0 || source >= size)
            throw new ArgumentOutOfRangeException(nameof(source), source, $"broadcast in group '{name}': expected a rank of the group, 0 to {size - 1}");
    }

    /// <summary>Reductions need numbers that this library can add.</summary>
    public void Reducible(Verb verb, Tensor tensor, bool brain)
    {
        if (tensor.dtype is ScalarType.Float32 or ScalarType.Float64 or ScalarType.Int32 or ScalarType.Int64) return;
        if (brain && tensor.dtype == ScalarType.BFloat16) return;
        throw Refused(verb, $"cannot reduce {Quantities.Shape(tensor)}; expected Float32, Float64, Int32{(brain ? ", Int64 or BFloat16" : " or Int64")}: convert it first");
    }

    public void Tensor(Verb verb, Tensor tensor, string role)
    {
        if (tensor.device_type != device.type || (device.type == DeviceType.CUDA && device.index >= 0 && tensor.device_index != device.index))
            throw Refused(verb, $"{role} {Quantities.Shape(tensor)} is on {tensor.device}; the group's tensors are on {device}");
        if (!tensor.is_contiguous()) throw Refused(verb, $"{role} {Quantities.Shape(tensor)} is not contiguous; pass tensor.contiguous()");
    }

    private void Same(Verb verb, IReadOnlyList<Tensor> outputs, IReadOnlyList<Tensor> inputs)
    {
        if (outputs.Count != inputs.Count) throw Refused(verb, $"{outputs.Count} outputs for {inputs.Count} inputs; expected one for each");
    }

    private ArgumentException Refused(Verb verb, string why) => new($"{verb.Text()} in group '{name}' of {size} ranks: {why}");
}
