using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Training.Parallel;

/// <summary>A group of ranks that there need not be, as its first rank sees it: for a plan. It sends nothing.</summary>
/// <param name="name">Its name.</param>
/// <param name="size">Its size.</param>
public sealed class PlannedGroup(string name, int size) : IProcessGroup
{
    /// <inheritdoc />
    public string Name => name;

    /// <inheritdoc />
    public int Rank => 0;

    /// <inheritdoc />
    public int Size => size;

    /// <inheritdoc />
    public IWork AllGatherIntoTensorAsync(Tensor output, Tensor input) => throw Refusal(CollectiveVerb.AllGather);

    /// <inheritdoc />
    public IWork ReduceScatterTensorAsync(Tensor output, Tensor input) => throw Refusal(CollectiveVerb.ReduceScatter);

    /// <inheritdoc />
    public IWork AllReduceAsync(Tensor tensor, ReduceOperation operation) => throw Refusal(CollectiveVerb.AllReduce);

    /// <inheritdoc />
    public IWork BroadcastAsync(Tensor tensor, int source) => throw Refusal("broadcast");

    /// <inheritdoc />
    public IWork AllToAllSingleAsync(Tensor output, Tensor input) => throw Refusal(CollectiveVerb.AllToAll);

    /// <inheritdoc />
    public IWork AllToAllSingleAsync(Tensor output, Tensor input, IReadOnlyList<long> outputSplits, IReadOnlyList<long> inputSplits) => throw Refusal(CollectiveVerb.AllToAll);

    /// <inheritdoc />
    public IWork BatchSendReceiveAsync(IReadOnlyList<PointToPoint> messages) => throw Refusal(CollectiveVerb.BatchSendReceive);

    /// <inheritdoc />
    public void Barrier() => throw Refusal("barrier");

    private TitanException Refusal(string verb) =>
        new(ExitCode.Plugin, $"{verb} over {name} while a job is planned, where there are no other ranks; a parallelism may send when it runs, not in Plan or Apply");
}
