using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.ContextParallel;

/// <summary>Shows a rank the keys and values of all ranks, its own among them. Every rank calls the same, in the same order.</summary>
/// <param name="group">The ranks that share a sequence.</param>
internal abstract class Rotation(IProcessGroup group)
{
    /// <summary>The ranks.</summary>
    protected IProcessGroup Group => group;

    /// <summary>The rotation of a method.</summary>
    public static Rotation Of(RotateMethod method, IProcessGroup group) => method == RotateMethod.Allgather ? new GatheredKeys(group) : new RingOfKeys(group);

    /// <summary>Forward.</summary>
    /// <param name="own">This rank's keys and values, [2, B, KV, s, D]; valid during the call.</param>
    /// <param name="visit">Given a rank and its keys and values.</param>
    public abstract void Forward(Tensor own, Action<int, Tensor> visit);

    /// <summary>Backward.</summary>
    /// <param name="own">This rank's keys and values.</param>
    /// <param name="visit">Given a rank, its keys and values, and where to add their gradient, fp32.</param>
    /// <returns>The gradient of this rank's keys and values, summed over all ranks in fp32.</returns>
    public abstract Tensor Backward(Tensor own, Action<int, Tensor, Tensor> visit);

    /// <summary>What is sent: in a forward.</summary>
    /// <param name="elements">Elements of <c>own</c>.</param>
    /// <param name="type">Its dtype.</param>
    public abstract IEnumerable<(string Verb, PlannedTensor Tensor, int Times)> PlanForward(long elements, ScalarType type);

    /// <summary>What is sent: in a backward.</summary>
    public abstract IEnumerable<(string Verb, PlannedTensor Tensor, int Times)> PlanBackward(long elements, ScalarType type);

    /// <summary>Bytes that are held at the same time, in backward, for one layer.</summary>
    public abstract long HeldBytes(long elements, ScalarType type);

    /// <summary>Bytes of an element.</summary>
    protected static long Size(ScalarType type) => type == ScalarType.Float32 ? 4 : 2;
}
