using static TorchSharp.torch;

namespace Titan.Benchmarks;

/// <summary>A kernel case on inputs that lie ready.</summary>
/// <param name="Reads">What must be read; a tensor that must be read twice, in forward and again in backward, is listed twice.</param>
/// <param name="Plain">The chain of ATen operations.</param>
/// <param name="Fused">The kernel; its results mean the same as those of the chain, one by one.</param>
/// <param name="Elements">Elements of one input, where they are not those of the case's matrix.</param>
public sealed record KernelWork(IReadOnlyList<Tensor> Reads, Func<IReadOnlyList<Tensor>> Plain, Func<IReadOnlyList<Tensor>> Fused, long? Elements = null)
{
    /// <summary>The bytes that any implementation must read and write: those of <see cref="Reads"/> and of the results. Runs the kernel once.</summary>
    public long Bytes()
    {
        using var scope = NewDisposeScope();
        return Reads.Concat(Fused()).Sum(t => t.numel() * t.element_size());
    }
}
