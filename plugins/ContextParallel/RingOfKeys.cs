using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.ContextParallel;

/// <summary>
/// Keys and values go round a ring (Liu et al., 2023): each rank computes with those it holds while it passes them on to the next rank and takes those of the rank before. In
/// backward their gradient follows a step behind, in fp32, every rank adding its part, until it is back where it belongs.
/// </summary>
internal sealed class RingOfKeys(IProcessGroup group) : Rotation(group)
{
    private const int Keys = 0, Gradients = 1;

    /// <inheritdoc />
    public override void Forward(Tensor own, Action<int, Tensor> visit)
    {
        using var scope = NewDisposeScope();
        var held = own.alias();
        for (var step = 0; step < Group.Size; step++)
        {
            var passing = PassOn(held, step);
            visit(Owner(step), held);
            held = passing?.Arrived() ?? held;
        }
    }

    /// <inheritdoc />
    public override Tensor Backward(Tensor own, Action<int, Tensor, Tensor> visit)
    {
        using var scope = NewDisposeScope();
        var held = own.alias();
        Passing? gradient = null;
        for (var step = 0; step < Group.Size; step++)
        {
            var passing = PassOn(held, step);
            var part = zeros(own.shape, dtype: ScalarType.Float32, device: own.device);
            visit(Owner(step), held, part);
            held = passing?.Arrived() ?? held;
            if (gradient is not null)
            {
                using var before = gradient.Arrived();
                part.add_(before);
            }

            gradient = Pass(part, Gradients);
        }

        return gradient!.Arrived().MoveToOuterDisposeScope();
    }

    /// <inheritdoc />
    public override IEnumerable<(string Verb, PlannedTensor Tensor, int Times)> PlanForward(long elements, ScalarType type) =>
        [(CollectiveVerb.BatchSendReceive, new PlannedTensor(type, elements * Size(type)), Group.Size - 1)];

    /// <inheritdoc />
    public override IEnumerable<(string Verb, PlannedTensor Tensor, int Times)> PlanBackward(long elements, ScalarType type) =>
        [.. PlanForward(elements, type), (CollectiveVerb.BatchSendReceive, PlannedTensor.Float32(elements), Group.Size)];

    /// <summary>What is computed with, what comes; of gradients what was sent, what comes and this rank's part.</summary>
    public override long HeldBytes(long elements, ScalarType type) => elements * (2 * Size(type) + 3 * 4);

    /// <summary>Whose keys are here after so many steps.</summary>
    private int Owner(int step) => (Group.Rank - step + Group.Size) % Group.Size;

    /// <summary>Passes keys and values on, where a rank is left that has not had them.</summary>
    private Passing? PassOn(Tensor held, int step) => step + 1 < Group.Size ? Pass(held, Keys) : null;

    /// <summary>Begins to send a tensor to the next rank, and to receive one like it from the rank before.</summary>
    private Passing Pass(Tensor tensor, int tag)
    {
        var received = empty_like(tensor);
        int next = (Group.Rank + 1) % Group.Size, before = Owner(1);
        return new Passing(tensor, received, Group.BatchSendReceiveAsync([PointToPoint.Send(tensor, next, tag), PointToPoint.Receive(received, before, tag)]));
    }

    /// <summary>A tensor on its way to the next rank, and one on its way from the rank before.</summary>
    private sealed record Passing(Tensor Sent, Tensor Received, IWork Work)
    {
        /// <summary>Waits, and lets go of what was sent.</summary>
        public Tensor Arrived()
        {
            Work.Wait();
            Sent.Dispose();
            return Received;
        }
    }
}
