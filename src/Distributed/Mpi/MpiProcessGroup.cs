using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Distributed.Mpi;

/// <summary>
/// A group of ranks whose tensors are in CPU memory and travel over MPI. Collectives run one after the other on the communication thread; results do not depend on timing: reductions
/// add in rank order, reduce-scatter of bf16 adds in fp32. Types that are only moved may be anything, float8 included.
/// </summary>
public sealed class MpiProcessGroup : IProcessGroup
{
    private readonly CommunicationThread thread;
    private readonly MpiCommunicator communicator;
    private readonly CollectiveChecks checks;

    internal MpiProcessGroup(string name, CommunicationThread thread, MpiCommunicator communicator)
    {
        (Name, this.thread, this.communicator) = (name, thread, communicator);
        checks = new CollectiveChecks(name, communicator.Size, CPU);
    }

    /// <inheritdoc />
    public string Name { get; }

    /// <inheritdoc />
    public int Rank => communicator.Rank;

    /// <inheritdoc />
    public int Size => communicator.Size;

    /// <inheritdoc />
    public IWork AllGatherIntoTensorAsync(Tensor output, Tensor input)
    {
        checks.Ratio(Verb.AllGatherIntoTensor, output, "output", input, "input");
        var (to, from) = (TensorStorage.ToWrite(output), TensorStorage.ToRead(input));
        return Enqueue(Verb.AllGatherIntoTensor, to.Bytes, 0, [to, from], t => t.AllGather(communicator, to.Address, from.Address, from.Bytes));
    }

    /// <inheritdoc />
    public IWork ReduceScatterTensorAsync(Tensor output, Tensor input)
    {
        checks.Ratio(Verb.ReduceScatterTensor, input, "input", output, "output");
        checks.Reducible(Verb.ReduceScatterTensor, input, brain: true);
        var (to, from) = (TensorStorage.ToWrite(output), TensorStorage.ToRead(input));
        return Enqueue(Verb.ReduceScatterTensor, from.Bytes, (int)ReduceOperation.Sum, [from, to],
            t => t.ReduceScatter(communicator, from.Type, ReduceOperation.Sum, to.Address, from.Address, to.Bytes, to.ElementBytes));
    }

    /// <inheritdoc />
    public IWork AllGatherIntoTensorCoalescedAsync(IReadOnlyList<Tensor> outputs, IReadOnlyList<Tensor> inputs)
    {
        var (to, from) = Pairs(Verb.AllGatherIntoTensor, outputs, inputs, gathers: true);
        return EnqueueAll(Verb.AllGatherIntoTensor, to.Sum(t => t.Bytes), [.. to, .. from],
            t => t.AllGather(communicator, [.. to.Zip(from, (o, i) => (o.Address, i.Address, i.Bytes))]));
    }

    /// <inheritdoc />
    public IWork ReduceScatterTensorCoalescedAsync(IReadOnlyList<Tensor> outputs, IReadOnlyList<Tensor> inputs)
    {
        var (to, from) = Pairs(Verb.ReduceScatterTensor, outputs, inputs, gathers: false);
        return EnqueueAll(Verb.ReduceScatterTensor, from.Sum(f => f.Bytes), [.. from, .. to], t =>
        {
            foreach (var (o, i) in to.Zip(from)) t.ReduceScatter(communicator, i.Type, ReduceOperation.Sum, o.Address, i.Address, o.Bytes, o.ElementBytes);
        });
    }

    /// <inheritdoc />
    public IWork AllReduceAsync(Tensor tensor, ReduceOperation operation)
    {
        checks.Tensor(Verb.AllReduce, tensor, "tensor");
        checks.Reducible(Verb.AllReduce, tensor, brain: false);
        var at = TensorStorage.ToWrite(tensor);
        return Enqueue(Verb.AllReduce, at.Bytes, (int)operation, [at], t => t.AllReduce(communicator, at.Type, operation, at.Address, at.Elements, at.ElementBytes));
    }

    /// <inheritdoc />
    public IWork BroadcastAsync(Tensor tensor, int source)
    {
        checks.Tensor(Verb.Broadcast, tensor, "tensor");
        checks.Source(source);
        var at = TensorStorage.ToWrite(tensor);
        return Enqueue(Verb.Broadcast, at.Bytes, source, [at], t => t.Broadcast(communicator, at.Address, at.Bytes, source));
    }

    /// <inheritdoc />
    public IWork AllToAllSingleAsync(Tensor output, Tensor input)
    {
        checks.AllToAll(output, input);
        var (to, from) = (TensorStorage.ToWrite(output), TensorStorage.ToRead(input));
        return Enqueue(Verb.AllToAllSingle, from.Bytes, 0, [from, to], t => t.AllToAll(communicator, to.Address, from.Address, from.Bytes / Size));
    }

    /// <inheritdoc />
    public void Barrier() => Enqueue(Verb.Barrier, 0, 0, [], t => t.Barrier(communicator)).Wait();

    private (TensorStorage[] To, TensorStorage[] From) Pairs(Verb verb, IReadOnlyList<Tensor> outputs, IReadOnlyList<Tensor> inputs, bool gathers)
    {
        if (outputs.Count != inputs.Count) throw new ArgumentException($"{verb.Text()} in group '{Name}': {outputs.Count} outputs for {inputs.Count} inputs");
        foreach (var (output, input) in outputs.Zip(inputs))
        {
            if (gathers) checks.Ratio(verb, output, "output", input, "input");
            else checks.Ratio(verb, input, "input", output, "output");
            if (!gathers) checks.Reducible(verb, input, brain: true);
        }

        return ([.. outputs.Select(TensorStorage.ToWrite)], [.. inputs.Select(TensorStorage.ToRead)]);
    }

    /// <summary>Tensors of several types: what the ranks compare is their number and the bytes.</summary>
    private CollectiveWork EnqueueAll(Verb verb, long bytes, TensorStorage[] tensors, Action<MpiTransfers> action) =>
        thread.Enqueue(communicator, Name, verb, -1, bytes, tensors.Length, tensors, () => action(thread.Transfers));

    private CollectiveWork Enqueue(Verb verb, long bytes, int detail, TensorStorage[] tensors, Action<MpiTransfers> action) =>
        thread.Enqueue(communicator, Name, verb, tensors.Length == 0 ? -1 : (int)tensors[0].Type, bytes, detail, tensors, () => action(thread.Transfers));
}
