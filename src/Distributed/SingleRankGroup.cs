using Titan.Abstractions;
using Titan.Distributed.Collectives;
using static TorchSharp.torch;

namespace Titan.Distributed;

/// <summary>The group of one rank: every collective is a copy, or nothing. What runs on many ranks runs on one by the same code.</summary>
/// <param name="name">Name for messages.</param>
public sealed class SingleRankGroup(string name) : IProcessGroup
{
    /// <inheritdoc />
    public string Name => name;

    /// <inheritdoc />
    public int Rank => 0;

    /// <inheritdoc />
    public int Size => 1;

    /// <inheritdoc />
    public IWork AllGatherIntoTensorAsync(Tensor output, Tensor input) => Copy(output, input, "all_gather_into_tensor");

    /// <inheritdoc />
    public IWork ReduceScatterTensorAsync(Tensor output, Tensor input) => Copy(output, input, "reduce_scatter_tensor");

    /// <inheritdoc />
    public IWork AllReduceAsync(Tensor tensor, ReduceOperation operation) => Done.Instance;

    /// <inheritdoc />
    public IWork BroadcastAsync(Tensor tensor, int source) =>
        source == 0 ? Done.Instance : throw new ArgumentOutOfRangeException(nameof(source), source, $"broadcast in group '{name}': it has one rank, 0");

    /// <inheritdoc />
    public IWork AllToAllSingleAsync(Tensor output, Tensor input) => Copy(output, input, "all_to_all_single");

    /// <inheritdoc />
    public IWork AllToAllSingleAsync(Tensor output, Tensor input, IReadOnlyList<long> outputSplits, IReadOnlyList<long> inputSplits)
    {
        new CollectiveChecks(name, 1, input.device).AllToAll(output, input, outputSplits, inputSplits);
        return Copy(output, input, "all_to_all_single");
    }

    /// <inheritdoc />
    public IWork BatchSendReceiveAsync(IReadOnlyList<PointToPoint> messages)
    {
        if (messages.Count == 0) return Done.Instance;
        new CollectiveChecks(name, 1, messages[0].Tensor.device).Messages(VerbNames.Of(messages), messages, 0);
        foreach (var tag in messages.GroupBy(m => m.Tag))
            foreach (var (sent, received) in tag.Where(m => m.IsSend).Zip(tag.Where(m => !m.IsSend))) Copy(received.Tensor, sent.Tensor, "send");
        return Done.Instance;
    }

    /// <inheritdoc />
    public void Barrier()
    {
        // One rank waits for nobody.
    }

    private Done Copy(Tensor output, Tensor input, string verb)
    {
        if (output.numel() != input.numel() || output.dtype != input.dtype)
            throw new ArgumentException($"{verb} in group '{name}': output has {output.numel()} elements of {output.dtype}, input {input.numel()} of {input.dtype}; with one rank they are the same");
        using var none = no_grad();
        using var shaped = input.reshape(output.shape);
        output.copy_(shaped);
        return Done.Instance;
    }

    private sealed class Done : IWork
    {
        public static readonly Done Instance = new();

        public void Wait()
        {
            // It was done before it was returned.
        }
    }
}
