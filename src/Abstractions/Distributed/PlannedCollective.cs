using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>c10d's names of the collectives, under which they are counted.</summary>
public static class CollectiveVerb
{
    /// <summary><see cref="IProcessGroup.AllGatherIntoTensor"/>.</summary>
    public const string AllGather = "all_gather_into_tensor";

    /// <summary><see cref="IProcessGroup.ReduceScatterTensor"/>.</summary>
    public const string ReduceScatter = "reduce_scatter_tensor";

    /// <summary><see cref="IProcessGroup.AllReduce"/>.</summary>
    public const string AllReduce = "all_reduce";

    /// <summary><see cref="IProcessGroup.AllToAllSingle(Tensor, Tensor)"/>, with splits or without.</summary>
    public const string AllToAll = "all_to_all_single";

    /// <summary><see cref="IProcessGroup.SendAsync"/>.</summary>
    public const string Send = "send";

    /// <summary><see cref="IProcessGroup.ReceiveAsync"/>.</summary>
    public const string Receive = "recv";

    /// <summary><see cref="IProcessGroup.BatchSendReceiveAsync"/>.</summary>
    public const string BatchSendReceive = "batch_isend_irecv";

    /// <summary>Whether it moves messages between pairs of ranks, so that what is counted does not depend on the size of the group.</summary>
    public static bool IsMessage(string verb) => verb is Send or Receive or BatchSendReceive;
}

/// <summary>The part of a step in which something is sent.</summary>
public enum StepPhase
{
    /// <summary>Forward.</summary>
    Forward,

    /// <summary>Backward, with what it computes again of forward.</summary>
    Backward,

    /// <summary>Once for all micro-batches, when the weights have changed.</summary>
    Optimizer,
}

/// <summary>One of the tensors that travel in a collective: this rank's part of it.</summary>
/// <param name="Type">Dtype.</param>
/// <param name="Bytes">Bytes. All-gather: of the input; reduce-scatter: of the output; all-to-all: of the part for one rank; all-reduce: of the tensor; messages: of what is sent, of a recv of the tensor.</param>
public readonly record struct PlannedTensor(ScalarType Type, long Bytes)
{
    /// <summary>So many elements of fp32.</summary>
    public static PlannedTensor Float32(long elements) => new(ScalarType.Float32, 4 * elements);
}

/// <summary>A collective that a steady step issues, not the first, which learns what to gather ahead.</summary>
/// <param name="Group">Among which ranks.</param>
/// <param name="Verb">A <see cref="CollectiveVerb"/>.</param>
/// <param name="Tensors">What travels as one message.</param>
/// <param name="Calls">How often in a step, all micro-batches together.</param>
/// <param name="When">In which part of the step.</param>
/// <param name="For">What it is for, for example <c>weights</c>.</param>
public sealed record PlannedCollective(IProcessGroup Group, string Verb, IReadOnlyList<PlannedTensor> Tensors, int Calls, StepPhase When, string For)
{
    /// <summary>Bytes of one call as they are counted. All-gather: of the output; reduce-scatter and all-to-all: of the input; all-reduce: of the tensor; messages: of what is sent, of a recv of the tensor.</summary>
    public long PayloadBytes => Tensors.Sum(t => t.Bytes) * (Verb == CollectiveVerb.AllReduce || CollectiveVerb.IsMessage(Verb) ? 1 : Group.Size);

    /// <summary>An all-reduce of so many fp32 numbers.</summary>
    public static PlannedCollective AllReduce(IProcessGroup group, long elements, int calls, StepPhase when, string what) =>
        new(group, CollectiveVerb.AllReduce, [PlannedTensor.Float32(elements)], calls, when, what);
}
