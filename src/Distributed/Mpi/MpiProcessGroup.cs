using Titan.Abstractions;
using Titan.Distributed.Collectives;
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
    public IWork AllGatherIntoTensorAsync(Tensor output, Tensor input) => AllGatherIntoTensorCoalescedAsync([output], [input]);

    /// <inheritdoc />
    public IWork ReduceScatterTensorAsync(Tensor output, Tensor input) => ReduceScatterTensorCoalescedAsync([output], [input]);

    /// <inheritdoc />
    public IWork AllGatherIntoTensorCoalescedAsync(IReadOnlyList<Tensor> outputs, IReadOnlyList<Tensor> inputs)
    {
        checks.Gather(outputs, inputs);
        TensorStorage[] to = [.. outputs.Select(TensorStorage.ToWrite)], from = [.. inputs.Select(TensorStorage.ToRead)];
        GatherPart[] parts = [.. to.Zip(from, (o, i) => new GatherPart(o.Address, i.Address, i.Bytes))];
        return Enqueue(Verb.AllGatherIntoTensor, to.Sum(t => t.Bytes), to.Length, [.. to, .. from], t => t.AllGather(communicator, parts));
    }

    /// <inheritdoc />
    public IWork ReduceScatterTensorCoalescedAsync(IReadOnlyList<Tensor> outputs, IReadOnlyList<Tensor> inputs)
    {
        checks.Scatter(outputs, inputs);
        TensorStorage[] to = [.. outputs.Select(TensorStorage.ToWrite)], from = [.. inputs.Select(TensorStorage.ToRead)];
        ScatterPart[] parts = [.. to.Zip(from, (o, i) => new ScatterPart(o.Address, i.Address, o.Bytes, o.Bytes))];
        return Enqueue(Verb.ReduceScatterTensor, from.Sum(t => t.Bytes), to.Length, [.. from, .. to],
            t =>
            {
                if (parts.Length > 0) t.ReduceScatter(communicator, from[0].Type, ReduceOperation.Sum, parts, from[0].ElementBytes);
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
    public IWork AllToAllSingleAsync(Tensor output, Tensor input, IReadOnlyList<long> outputSplits, IReadOnlyList<long> inputSplits)
    {
        checks.AllToAll(output, input, outputSplits, inputSplits);
        var (to, from) = (TensorStorage.ToWrite(output), TensorStorage.ToRead(input));
        var row = CollectiveChecks.RowElements(input) * from.ElementBytes;
        long[] outputs = [.. outputSplits.Select(s => s * row)], inputs = [.. inputSplits.Select(s => s * row)];
        return thread.Enqueue(communicator, CallRequest.Uneven(Name, from, row, inputSplits[Rank]), [from, to], (call, compared) =>
        {
            if (compared) CallAgreement.VerifySplits(thread.Transfers, communicator, call, outputs, inputs, thread.Ranks);
            thread.Transfers.AllToAll(communicator, to.Address, from.Address, outputs, inputs);
        });
    }

    /// <inheritdoc />
    public IWork BatchSendReceiveAsync(IReadOnlyList<PointToPoint> messages)
    {
        checks.Messages(VerbNames.Of(messages), messages, Rank);
        TensorStorage[] tensors = [.. messages.Select(m => m.IsSend ? TensorStorage.ToRead(m.Tensor) : TensorStorage.ToWrite(m.Tensor))];
        return thread.Enqueue(communicator, CallRequest.Messages(Name, messages, tensors, Rank), tensors,
            [.. messages.Zip(tensors, (m, t) => new Message(t.Address, t.Bytes, (int)t.Type, m.Peer, m.Tag, m.IsSend))]);
    }

    /// <inheritdoc />
    public void Barrier() => Enqueue(Verb.Barrier, 0, 0, [], t => t.Barrier(communicator)).Wait();

    private CollectiveWork Enqueue(Verb verb, long bytes, int detail, TensorStorage[] tensors, Action<MpiTransfers> action) =>
        thread.Enqueue(communicator, new CallRequest(verb, Name, tensors.Length == 0 ? -1 : (int)tensors[0].Type, bytes, detail), tensors,
            (_, _) => action(thread.Transfers));
}
