using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>A tensor that belongs to a module and is no parameter: counts, running means. It has no gradient and no optimizer state, and every rank holds all of it.</summary>
/// <param name="name">Its name in the module.</param>
/// <param name="shape">Its shape.</param>
/// <param name="type">Its dtype.</param>
/// <param name="isPersistent">Whether checkpoints hold it; one that does not persist starts anew with each run.</param>
/// <param name="value">What all its elements are at the start.</param>
public sealed class BufferSlot(string name, IReadOnlyList<long> shape, ScalarType type, bool isPersistent = true, double value = 0)
{
    private Tensor? tensor;

    /// <summary>Its name in the module.</summary>
    public string Name => name;

    /// <summary>Its shape.</summary>
    public IReadOnlyList<long> Shape => shape;

    /// <summary>Its dtype.</summary>
    public ScalarType Type => type;

    /// <summary>Whether checkpoints hold it.</summary>
    public bool IsPersistent => isPersistent;

    /// <summary>The tensor; change it in place, under no_grad. It must be the same on all ranks when a step ends: what ranks counted apart is summed by a hook.</summary>
    /// <exception cref="InvalidOperationException">Before <see cref="Materialize"/>.</exception>
    public Tensor Tensor => tensor ?? throw new InvalidOperationException($"buffer '{name}' has no memory yet: it gets it with the parameters (ModelParameters.Materialize)");

    /// <summary>Gives the buffer memory, and its first value; once.</summary>
    public void Materialize(Device device)
    {
        using var none = no_grad();
        tensor ??= full([.. shape], value, dtype: type, device: device).DetachFromDisposeScope();
    }
}

/// <summary>A module with buffers.</summary>
public interface IBufferOwner
{
    /// <summary>Its buffers, always the same objects.</summary>
    IReadOnlyList<BufferSlot> Buffers { get; }
}

/// <summary>A buffer in its place in a model.</summary>
/// <param name="Fqn">Fully qualified name.</param>
/// <param name="Slot">The buffer.</param>
public sealed record ModelBuffer(string Fqn, BufferSlot Slot);
