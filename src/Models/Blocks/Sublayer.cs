using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Models;

/// <summary>
/// Half of a transformer block, attention or feed-forward: reads the normalised residual stream [B, S, dim] and gives what is added to it. Its linear layers are in slots, so
/// that converters find them; where ranks hold parts of the sequence, its input is gathered and its output scattered.
/// </summary>
public abstract class Sublayer(string name) : nn.Module(name), ISlotOwner, IActivationBoundary
{
    /// <inheritdoc />
    public abstract IReadOnlyList<ModuleSlot> Slots { get; }

    /// <inheritdoc />
    public Func<Activation, Activation>? BeforeForward { get; set; }

    /// <inheritdoc />
    public Func<Activation, Activation>? AfterForward { get; set; }

    /// <summary>How tensor parallelism splits the half.</summary>
    public abstract SublayerSplit Split { get; }

    /// <summary>Whether a layer looks for the amax of the input.</summary>
    public virtual bool WantsInputAmax => Slots.Any(s => s.WantsInputAmax && Split.Readers.Contains(s.Name));

    /// <summary>Runs it.</summary>
    /// <param name="x">[B, S, dim]; S is this rank's part where ranks share the sequence.</param>
    /// <param name="context">The batch.</param>
    public Activation Forward(Activation x, BlockContext context)
    {
        using var scope = NewDisposeScope();
        using var gathered = BeforeForward?.Invoke(x);
        var output = Compute(gathered ?? x, context);
        if (AfterForward is { } after) output = after(output);
        output.Values.MoveToOuterDisposeScope();
        return output;
    }

    /// <summary>The arithmetic, in a dispose scope that ends with the half.</summary>
    /// <param name="x">[B, S, dim], the whole sequence.</param>
    /// <param name="context">The batch.</param>
    protected abstract Activation Compute(Activation x, BlockContext context);
}

/// <summary>How tensor parallelism splits half a block.</summary>
/// <param name="Layers">Every layer with a weight, by its name in the half.</param>
/// <param name="Readers">The layers that read the input.</param>
/// <param name="Writer">The rowwise layer whose partial sums are the output.</param>
public sealed record SublayerSplit(IReadOnlyList<(string Name, TensorParallelStyle Style)> Layers, IReadOnlyList<string> Readers, string Writer)
{
    /// <summary>The layers with their names in the model.</summary>
    internal IEnumerable<TensorParallelLayer> LayersOf(string fqn) => Layers.Select(l => new TensorParallelLayer($"{fqn}.{l.Name}", l.Style));

    /// <summary>The region of the model that sees the whole sequence.</summary>
    internal SequenceRegion RegionOf(string fqn, IActivationBoundary boundary) => new(fqn, boundary, [.. Readers.Select(r => $"{fqn}.{r}")], $"{fqn}.{Writer}");
}

/// <summary>The arguments of half a block.</summary>
public abstract record SublayerArgs
{
    /// <summary>Whether it is a mixture of experts, which a block calls <c>moe</c> instead of <c>feed_forward</c>.</summary>
    public virtual bool IsMixture => false;

    /// <summary>Parameters for a model dimension.</summary>
    public abstract long Parameters(long dimension);

    /// <summary>Those of them that a token meets.</summary>
    public virtual long ActiveParameters(long dimension) => Parameters(dimension);

    /// <summary>Hidden features that a token has in a feed-forward layer; 0 in attention.</summary>
    public virtual long HiddenOfToken => 0;

    /// <summary>Copies of a token that go to experts.</summary>
    public virtual int RowsOfToken => 0;

    /// <summary>Makes the half, uninitialised.</summary>
    /// <param name="dimension">The model dimension.</param>
    /// <param name="context">Where, and of which dtype.</param>
    public abstract Sublayer Create(long dimension, ModelContext context);
}
