using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Parallelism.Tests;

/// <summary>A group that remembers what it was asked: verb, dtype, and bytes of this rank's input.</summary>
internal sealed class CountingGroup(IProcessGroup inner) : IProcessGroup
{
    private readonly List<(string Verb, ScalarType Type, long Bytes)> calls = [];

    public IReadOnlyList<(string Verb, ScalarType Type, long Bytes)> Calls => calls;

    public string Name => inner.Name;

    public int Rank => inner.Rank;

    public int Size => inner.Size;

    /// <summary>How often a verb was called.</summary>
    public int Count(string verb) => calls.Count(c => c.Verb == verb);

    /// <summary>Bytes that this rank gave to a verb.</summary>
    public long Bytes(string verb) => calls.Where(c => c.Verb == verb).Sum(c => c.Bytes);

    public IWork AllGatherIntoTensorAsync(Tensor output, Tensor input) => Note("all_gather", input, () => inner.AllGatherIntoTensorAsync(output, input));

    public IWork ReduceScatterTensorAsync(Tensor output, Tensor input) => Note("reduce_scatter", input, () => inner.ReduceScatterTensorAsync(output, input));

    public IWork AllReduceAsync(Tensor tensor, ReduceOperation operation) => Note("all_reduce", tensor, () => inner.AllReduceAsync(tensor, operation));

    public IWork BroadcastAsync(Tensor tensor, int source) => Note("broadcast", tensor, () => inner.BroadcastAsync(tensor, source));

    public IWork AllToAllSingleAsync(Tensor output, Tensor input) => Note("all_to_all", input, () => inner.AllToAllSingleAsync(output, input));

    public IWork AllToAllSingleAsync(Tensor output, Tensor input, IReadOnlyList<long> outputSplits, IReadOnlyList<long> inputSplits) =>
        Note("all_to_all", input, () => inner.AllToAllSingleAsync(output, input, outputSplits, inputSplits));

    public IWork BatchSendReceiveAsync(IReadOnlyList<PointToPoint> messages)
    {
        foreach (var sent in messages.Where(m => m.IsSend)) calls.Add(("send", sent.Tensor.dtype, sent.Tensor.numel() * sent.Tensor.ElementSize));
        return inner.BatchSendReceiveAsync(messages);
    }

    public void Barrier() => inner.Barrier();

    private IWork Note(string verb, Tensor input, Func<IWork> call)
    {
        calls.Add((verb, input.dtype, input.numel() * input.ElementSize));
        return call();
    }
}
