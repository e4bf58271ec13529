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
/// A group of ranks with c10d's verbs. Every member must call the same verbs in the same order. Tensors are contiguous; their dtype may be any, float8 included,
/// except for the reductions, which take fp32, fp64, int32 and int64.
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

    /// <summary><see cref="AllToAllSingleAsync"/>, waited for.</summary>
    void AllToAllSingle(Tensor output, Tensor input) => AllToAllSingleAsync(output, input).Wait();
}
