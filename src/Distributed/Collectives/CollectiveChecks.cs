using TorchSharp;
using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Distributed.Collectives;

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

    /// <summary>Splits along dimension 0, one for each rank; rows of one size and type.</summary>
    public void AllToAll(Tensor output, Tensor input, IReadOnlyList<long> outputSplits, IReadOnlyList<long> inputSplits)
    {
        Tensor(Verb.AllToAllSingle, output, "output");
        Tensor(Verb.AllToAllSingle, input, "input");
        Splits(output, "output", outputSplits);
        Splits(input, "input", inputSplits);
        if (output.dtype != input.dtype || RowElements(output) != RowElements(input))
            throw Refused(Verb.AllToAllSingle,
                $"output {Quantities.Shape(output)} and input {Quantities.Shape(input)} must have the same type and rows of the same size");
    }

    /// <summary>Elements of a row: all dimensions but the first.</summary>
    public static long RowElements(Tensor tensor) => tensor.shape.Skip(1).Aggregate(1L, (a, b) => a * b);

    /// <summary>Each with a rank and a tag that there is; what this rank sends to itself it receives in the same batch.</summary>
    public void Messages(Verb verb, IReadOnlyList<PointToPoint> messages, int rank)
    {
        foreach (var (message, i) in messages.Select((m, i) => (m, i)))
        {
            var (what, where) = (message.IsSend ? "destination" : "source", $"{verb.Text()} in group '{name}': message {i}");
            if (message.Peer < 0 || message.Peer >= size)
                throw new ArgumentOutOfRangeException(what, message.Peer, $"{where}: expected a rank of the group, 0 to {size - 1}");
            if (message.Tag is < 0 or > PointToPoint.LargestTag)
                throw new ArgumentOutOfRangeException("tag", message.Tag, $"{where}: expected 0 to {PointToPoint.LargestTag}");
            Tensor(verb, message.Tensor, messages.Count == 1 ? "tensor" : $"message {i}");
        }

        foreach (var own in messages.Where(m => m.Peer == rank).GroupBy(m => m.Tag))
        {
            List<string> sent = [.. own.Where(m => m.IsSend).Select(Elements)], received = [.. own.Where(m => !m.IsSend).Select(Elements)];
            if (!sent.SequenceEqual(received))
                throw Refused(verb, $"rank {rank} sends itself {Listed(sent)} with tag {own.Key}, and receives {Listed(received)}: " +
                    "both belong into one batch, with the same types and numbers of elements");
        }

        static string Elements(PointToPoint m) => $"{m.Tensor.numel()} {Quantities.Type(m.Tensor.dtype)}";

        static string Listed(List<string> messages) => messages.Count == 0 ? "nothing" : string.Join(", ", messages);
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

    private void Splits(Tensor tensor, string role, IReadOnlyList<long> splits)
    {
        var text = $"{role} splits [{string.Join(", ", splits)}]";
        if (tensor.dim() == 0) throw Refused(Verb.AllToAllSingle, $"{role} {Quantities.Shape(tensor)} has no rows to split");
        if (splits.Count != size) throw Refused(Verb.AllToAllSingle, $"{text} are {splits.Count}; expected one for each of {size} ranks");
        if (splits.Any(s => s < 0)) throw Refused(Verb.AllToAllSingle, $"{text} have a negative one; expected 0 or more rows for each rank");
        // Not the plain sum: it could overflow to the right value.
        if (splits.Aggregate((Int128)0, (sum, s) => sum + s) is var sum && sum != tensor.shape[0])
            throw Refused(Verb.AllToAllSingle, $"{text} add up to {sum}, {role} {Quantities.Shape(tensor)} has {tensor.shape[0]} rows");
    }

    private void Same(Verb verb, IReadOnlyList<Tensor> outputs, IReadOnlyList<Tensor> inputs)
    {
        if (outputs.Count != inputs.Count) throw Refused(verb, $"{outputs.Count} outputs for {inputs.Count} inputs; expected one for each");
    }

    private ArgumentException Refused(Verb verb, string why) => new($"{verb.Text()} in group '{name}' of {size} ranks: {why}");
}
