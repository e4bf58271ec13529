using Titan.Abstractions;
using Titan.Distributed.Collectives;
using Titan.Distributed.Mpi;
using static TorchSharp.torch;

namespace Titan.Distributed.Nccl;

/// <summary>
/// A group of ranks whose tensors are on CUDA devices, one per rank, and travel over NCCL on a stream of their own. Waiting orders torch's current stream after the collective; it
/// does not block the program. Sums are NCCL's: their order depends on the number of ranks and the machine, and bf16 is rounded at each addition. Tested against a library with NCCL's
/// interface that works on host memory; not run on a GPU.
/// </summary>
public sealed class NcclProcessGroup : IProcessGroup
{
    private readonly NcclLibrary nccl;
    private readonly nint comm;
    private readonly MpiCommunicator calls;
    private readonly CudaCommunicationStream stream;
    private readonly Device device;
    private readonly CommunicationCounter counter;
    private readonly CollectiveChecks checks;
    private readonly Queue<NcclWork> underWay = new();

    internal NcclProcessGroup(
        string name, NcclLibrary nccl, nint comm, MpiCommunicator calls, CudaCommunicationStream stream, Device device, CommunicationCounter counter)
    {
        (Name, this.nccl, this.comm, this.calls, this.stream, this.device, this.counter) = (name, nccl, comm, calls, stream, device, counter);
        checks = new CollectiveChecks(name, calls.Size, device);
    }

    /// <inheritdoc />
    public string Name { get; }

    /// <inheritdoc />
    public int Rank => calls.Rank;

    /// <inheritdoc />
    public int Size => calls.Size;

    internal MpiCommunicator Calls => calls;

    /// <inheritdoc />
    public IWork AllGatherIntoTensorAsync(Tensor output, Tensor input) => AllGatherIntoTensorCoalescedAsync([output], [input]);

    /// <inheritdoc />
    public IWork ReduceScatterTensorAsync(Tensor output, Tensor input) => ReduceScatterTensorCoalescedAsync([output], [input]);

    /// <inheritdoc />
    public IWork AllGatherIntoTensorCoalescedAsync(IReadOnlyList<Tensor> outputs, IReadOnlyList<Tensor> inputs)
    {
        checks.Gather(outputs, inputs);
        TensorStorage[] to = [.. outputs.Select(TensorStorage.ToWrite)], from = [.. inputs.Select(TensorStorage.ToRead)];
        return Queue(Verb.AllGatherIntoTensor, to.Sum(t => t.Bytes), to.Length, [.. to, .. from], s => nccl.AtOnce(comm, to.Length, i => nccl.AllGather(to[i].Address, from[i].Address, from[i].Bytes, comm, s)));
    }

    /// <inheritdoc />
    public IWork ReduceScatterTensorCoalescedAsync(IReadOnlyList<Tensor> outputs, IReadOnlyList<Tensor> inputs)
    {
        checks.Scatter(outputs, inputs);
        TensorStorage[] to = [.. outputs.Select(TensorStorage.ToWrite)], from = [.. inputs.Select(TensorStorage.ToRead)];
        return Queue(Verb.ReduceScatterTensor, from.Sum(t => t.Bytes), to.Length, [.. from, .. to],
            s => nccl.AtOnce(comm, to.Length, i => nccl.ReduceScatter(to[i].Address, from[i].Address, to[i].Elements, Type(from[i].Type), comm, s)));
    }

    /// <inheritdoc />
    public IWork AllReduceAsync(Tensor tensor, ReduceOperation operation)
    {
        checks.Tensor(Verb.AllReduce, tensor, "tensor");
        checks.Reducible(Verb.AllReduce, tensor, brain: false);
        if (operation != ReduceOperation.Sum && tensor.is_floating_point()) return ReduceWithNaN(tensor, operation);
        var at = TensorStorage.ToWrite(tensor);
        return Reduce(at, operation, finish: null);
    }

    /// <inheritdoc />
    public IWork BroadcastAsync(Tensor tensor, int source)
    {
        checks.Tensor(Verb.Broadcast, tensor, "tensor");
        checks.Source(source);
        var at = TensorStorage.ToWrite(tensor);
        return Queue(Verb.Broadcast, at.Bytes, source, [at], s => nccl.Broadcast(at.Address, at.Bytes, source, comm, s));
    }

    /// <inheritdoc />
    public IWork AllToAllSingleAsync(Tensor output, Tensor input)
    {
        checks.AllToAll(output, input);
        var (to, from) = (TensorStorage.ToWrite(output), TensorStorage.ToRead(input));
        return Queue(Verb.AllToAllSingle, from.Bytes, 0, [from, to], s => nccl.AllToAll(to.Address, from.Address, from.Bytes / Size, Size, comm, s));
    }

    /// <inheritdoc />
    public IWork AllToAllSingleAsync(Tensor output, Tensor input, IReadOnlyList<long> outputSplits, IReadOnlyList<long> inputSplits)
    {
        checks.AllToAll(output, input, outputSplits, inputSplits);
        var (to, from) = (TensorStorage.ToWrite(output), TensorStorage.ToRead(input));
        var row = CollectiveChecks.RowElements(input) * from.ElementBytes;
        long[] outputs = [.. outputSplits.Select(s => s * row)], inputs = [.. inputSplits.Select(s => s * row)];
        return Queue(CallRequest.Uneven(Name, from, row, inputSplits[Rank]), [from, to],
            s => nccl.AllToAll(to.Address, from.Address, outputs, inputs, comm, s));
    }

    /// <inheritdoc />
    /// <remarks>
    /// NCCL has no tags: between two ranks messages meet in the order of calls. Those of a batch are ordered by tag on both sides; of several calls,
    /// both sides must make them in one order.
    /// </remarks>
    public IWork BatchSendReceiveAsync(IReadOnlyList<PointToPoint> messages)
    {
        checks.Messages(VerbNames.Of(messages), messages, Rank);
        messages = [.. messages.OrderBy(m => m.Tag)];
        TensorStorage[] tensors = [.. messages.Select(m => m.IsSend ? TensorStorage.ToRead(m.Tensor) : TensorStorage.ToWrite(m.Tensor))];
        Message[] parts = [.. messages.Zip(tensors, (m, t) => new Message(t.Address, t.Bytes, (int)t.Type, m.Peer, m.Tag, m.IsSend))];
        return Queue(CallRequest.Messages(Name, messages, tensors, Rank), tensors, s => nccl.Exchange(parts, comm, s));
    }

    /// <inheritdoc />
    public void Barrier()
    {
        using var one = zeros(1, dtype: ScalarType.Int32, device: device).DetachFromDisposeScope();
        var at = TensorStorage.ToWrite(one);
        var work = Queue(Verb.Barrier, 0, 0, [at], s => nccl.AllReduce(at.Address, 1, NcclType.Int32, NcclOperation.Sum, comm, s));
        work.Wait();
        work.Synchronize();
    }

    /// <summary>Lets go of what is done and returns the oldest collective that is not, for the watchdog. NCCL's errors come late: they come from here.</summary>
    internal NcclWork? Oldest()
    {
        lock (underWay)
        {
            while (underWay.TryPeek(out var work))
            {
                if (!work.TryRelease())
                {
                    Named(work.Call, () => nccl.CheckLater(comm));
                    return work;
                }

                calls.Complete(work.Call);
                underWay.Dequeue();
            }

            return null;
        }
    }

    /// <summary>NCCL's maximum may drop NaN: a second half of the message says where there was one.</summary>
    private NcclWork ReduceWithNaN(Tensor tensor, ReduceOperation operation)
    {
        var n = tensor.numel();
        Tensor both;
        using (NewDisposeScope())
        using (no_grad())
        {
            var (neutral, sign) = operation == ReduceOperation.Max ? (double.NegativeInfinity, 1.0) : (double.PositiveInfinity, -1.0);
            var flat = tensor.detach().view(-1);
            var isNaN = flat.isnan();
            both = cat([flat.masked_fill(isNaN, neutral), isNaN.to(tensor.dtype) * sign]).DetachFromDisposeScope();
        }

        var result = tensor.detach().DetachFromDisposeScope();
        return Reduce(TensorStorage.ToWrite(both), operation, () =>
        {
            using var scope = NewDisposeScope();
            using var none = no_grad();
            result.view(-1).copy_(both.narrow(0, 0, n).masked_fill(both.narrow(0, n, n).ne(0), double.NaN));
            result.Dispose();
            both.Dispose();
        });
    }

    private NcclWork Reduce(TensorStorage at, ReduceOperation operation, Action? finish)
    {
        var code = operation switch { ReduceOperation.Sum => NcclOperation.Sum, ReduceOperation.Max => NcclOperation.Max, _ => NcclOperation.Min };
        return Queue(Verb.AllReduce, at.Bytes, (int)operation, [at], s => nccl.AllReduce(at.Address, at.Elements, Type(at.Type), code, comm, s), finish);
    }

    private NcclWork Queue(Verb verb, long bytes, int detail, TensorStorage[] tensors, Action<nint> action, Action? finish = null) =>
        Queue(new CallRequest(verb, Name, tensors.Length == 0 ? -1 : (int)tensors[0].Type, bytes, detail), tensors, action, finish);

    private NcclWork Queue(CallRequest request, TensorStorage[] tensors, Action<nint> action, Action? finish = null)
    {
        Oldest();
        lock (underWay)
        {
            var call = calls.Add(request);
            var work = Named(call, () =>
            {
                action(stream.Begin());
                return new NcclWork(stream, stream.End(), call, tensors, finish);
            });
            counter.Record(request.Verb, Name, Size, request.Bytes, request.Sent);
            underWay.Enqueue(work);
            return work;
        }
    }

    private void Named(CollectiveCall call, Action action) => Named(call, () =>
    {
        action();
        return true;
    });

    private T Named<T>(CollectiveCall call, Func<T> action)
    {
        try
        {
            return action();
        }
        catch (NcclException e)
        {
            throw new TitanException(ExitCode.RunFailed, $"{call} failed on rank {calls.Members[Rank]}, {Rank} of {Size} in the group, {device}: {e.Message}", e);
        }
    }

    private static NcclType Type(ScalarType type) => type switch
    {
        ScalarType.Float32 => NcclType.Float32,
        ScalarType.Float64 => NcclType.Float64,
        ScalarType.Int32 => NcclType.Int32,
        ScalarType.Int64 => NcclType.Int64,
        ScalarType.BFloat16 => NcclType.BFloat16,
        _ => throw new ArgumentException($"NCCL group: cannot reduce {Quantities.Type(type)}"),
    };
}
