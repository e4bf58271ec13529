using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>How <see cref="IProcessGroup.AllReduce"/> combines the ranks' values.</summary>
public enum ReduceOperation
{
    /// <summary>The sum.</summary>
    Sum,

    /// <summary>The largest; NaN wins.</summary>
    Max,

    /// <summary>The smallest; NaN wins.</summary>
    Min,
}

/// <summary>A collective under way.</summary>
public interface IWork
{
    /// <summary>Returns when the collective is done and its output may be read.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.RunFailed"/> when it failed or timed out, naming collective, group and rank.</exception>
    void Wait();
}

/// <summary>Several collectives as one.</summary>
/// <param name="parts">The collectives.</param>
public sealed class CombinedWork(IReadOnlyList<IWork> parts) : IWork
{
    /// <inheritdoc />
    public void Wait()
    {
        foreach (var part in parts) part.Wait();
    }
}

/// <summary>
/// A group of ranks with c10d's verbs. Every member must call the same verbs in the same order, but for messages between two of them. Tensors are
/// contiguous; their dtype may be any, float8 included, except for the reductions, which take fp32, fp64, int32 and int64.
/// </summary>
public interface IProcessGroup
{
    /// <summary>Name for messages, for example <c>dp_shard</c>.</summary>
    string Name { get; }

    /// <summary>This process's position in the group.</summary>
    int Rank { get; }

    /// <summary>Number of members.</summary>
    int Size { get; }

    /// <summary>Fills <paramref name="output"/> [Size * n, ...] with every rank's <paramref name="input"/> [n, ...], in rank order.</summary>
    IWork AllGatherIntoTensorAsync(Tensor output, Tensor input);

    /// <summary>Fills <paramref name="output"/> [n, ...] with this rank's slice of the sum over ranks of <paramref name="input"/> [Size * n, ...].</summary>
    IWork ReduceScatterTensorAsync(Tensor output, Tensor input);

    /// <summary>
    /// <see cref="AllGatherIntoTensorAsync"/> for several tensors, of any dtypes, as one message: what a group can do at once it does at once; the default asks one by one.
    /// </summary>
    /// <param name="outputs">One per input, [Size * n, ...].</param>
    /// <param name="inputs">[n, ...] each.</param>
    IWork AllGatherIntoTensorCoalescedAsync(IReadOnlyList<Tensor> outputs, IReadOnlyList<Tensor> inputs) =>
        new CombinedWork([.. outputs.Zip(inputs, AllGatherIntoTensorAsync)]);

    /// <summary><see cref="ReduceScatterTensorAsync"/> for several tensors of one dtype as one message.</summary>
    /// <param name="outputs">[n, ...] each.</param>
    /// <param name="inputs">One per output, [Size * n, ...].</param>
    IWork ReduceScatterTensorCoalescedAsync(IReadOnlyList<Tensor> outputs, IReadOnlyList<Tensor> inputs) =>
        new CombinedWork([.. outputs.Zip(inputs, ReduceScatterTensorAsync)]);

    /// <summary>Combines <paramref name="tensor"/> over all ranks, in place.</summary>
    IWork AllReduceAsync(Tensor tensor, ReduceOperation operation);

    /// <summary>Copies <paramref name="tensor"/> of rank <paramref name="source"/> to every rank, in place.</summary>
    IWork BroadcastAsync(Tensor tensor, int source);

    /// <summary>Sends the i-th of Size equal slices of <paramref name="input"/> to rank i; slice i of <paramref name="output"/> comes from rank i.</summary>
    IWork AllToAllSingleAsync(Tensor output, Tensor input);

    /// <summary>
    /// The same with slices of different lengths: of the rows of <paramref name="input"/> the first <c>inputSplits[0]</c> go to rank 0, the next
    /// <c>inputSplits[1]</c> to rank 1, and so on; <paramref name="output"/> has first the rows of rank 0, then those of rank 1. What a rank sends to
    /// another is what that one expects of it; either all ranks give splits or none does.
    /// </summary>
    /// <param name="output">[sum of outputSplits, ...].</param>
    /// <param name="input">[sum of inputSplits, ...], with rows of the same size.</param>
    /// <param name="outputSplits">Rows from each rank, Size of them; 0 is none.</param>
    /// <param name="inputSplits">Rows to each rank, Size of them; 0 is none.</param>
    /// <exception cref="ArgumentException">When the splits do not add up to the rows, on this rank, before anything is sent.</exception>
    IWork AllToAllSingleAsync(Tensor output, Tensor input, IReadOnlyList<long> outputSplits, IReadOnlyList<long> inputSplits);

    /// <summary>
    /// Messages between pairs of ranks, all under way at once (c10d's <c>batch_isend_irecv</c>). Only who sends and who receives call; a message
    /// meets the receive of its tag, in the order of calls, with the same type and number of elements. A send may wait until its receive is called:
    /// where every rank sends before it receives, as in a ring, both belong into one batch.
    /// </summary>
    /// <param name="messages">What to send and to receive. What a rank sends to itself it receives in the same batch.</param>
    IWork BatchSendReceiveAsync(IReadOnlyList<PointToPoint> messages);

    /// <summary>Sends <paramref name="tensor"/> to a rank of the group, which receives it; see <see cref="BatchSendReceiveAsync"/>.</summary>
    /// <param name="tensor">What to send.</param>
    /// <param name="destination">The rank in the group.</param>
    /// <param name="tag">0 to <see cref="PointToPoint.LargestTag"/>: tells messages between the same two ranks apart.</param>
    IWork SendAsync(Tensor tensor, int destination, int tag = 0) => BatchSendReceiveAsync([PointToPoint.Send(tensor, destination, tag)]);

    /// <summary>Fills <paramref name="tensor"/> with what a rank of the group sends; see <see cref="BatchSendReceiveAsync"/>.</summary>
    /// <param name="tensor">Where to put it.</param>
    /// <param name="source">The rank in the group.</param>
    /// <param name="tag">The tag of the send.</param>
    IWork ReceiveAsync(Tensor tensor, int source, int tag = 0) => BatchSendReceiveAsync([PointToPoint.Receive(tensor, source, tag)]);

    /// <summary>Returns when every rank has called it.</summary>
    void Barrier();

    /// <summary><see cref="AllGatherIntoTensorAsync"/>, waited for.</summary>
    void AllGatherIntoTensor(Tensor output, Tensor input) => AllGatherIntoTensorAsync(output, input).Wait();

    /// <summary><see cref="ReduceScatterTensorAsync"/>, waited for.</summary>
    void ReduceScatterTensor(Tensor output, Tensor input) => ReduceScatterTensorAsync(output, input).Wait();

    /// <summary><see cref="AllReduceAsync"/>, waited for.</summary>
    void AllReduce(Tensor tensor, ReduceOperation operation) => AllReduceAsync(tensor, operation).Wait();

    /// <summary><see cref="BroadcastAsync"/>, waited for.</summary>
    void Broadcast(Tensor tensor, int source) => BroadcastAsync(tensor, source).Wait();

    /// <summary><see cref="AllToAllSingleAsync(Tensor, Tensor)"/>, waited for.</summary>
    void AllToAllSingle(Tensor output, Tensor input) => AllToAllSingleAsync(output, input).Wait();

    /// <summary><see cref="AllToAllSingleAsync(Tensor, Tensor, IReadOnlyList{long}, IReadOnlyList{long})"/>, waited for.</summary>
    void AllToAllSingle(Tensor output, Tensor input, IReadOnlyList<long> outputSplits, IReadOnlyList<long> inputSplits) =>
        AllToAllSingleAsync(output, input, outputSplits, inputSplits).Wait();

    /// <summary><see cref="BatchSendReceiveAsync"/>, waited for.</summary>
    void BatchSendReceive(IReadOnlyList<PointToPoint> messages) => BatchSendReceiveAsync(messages).Wait();

    /// <summary><see cref="SendAsync"/>, waited for.</summary>
    void Send(Tensor tensor, int destination, int tag = 0) => SendAsync(tensor, destination, tag).Wait();

    /// <summary><see cref="ReceiveAsync"/>, waited for.</summary>
    void Receive(Tensor tensor, int source, int tag = 0) => ReceiveAsync(tensor, source, tag).Wait();
}
