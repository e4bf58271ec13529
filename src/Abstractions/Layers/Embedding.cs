using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>A lookup table [V, D]: token ids to vectors.</summary>
public sealed class Embedding : nn.Module<Tensor, Tensor>, IWeightedLayer, IActivationBoundary
{
    /// <summary>Creates the table, uninitialised.</summary>
    /// <param name="entries">V.</param>
    /// <param name="dimension">D.</param>
    /// <param name="device">Where; <c>meta</c> allocates nothing.</param>
    /// <param name="type">Dtype of the parameter.</param>
    public Embedding(long entries, long dimension, Device? device = null, ScalarType type = ScalarType.Float32) : base(nameof(Embedding))
    {
        var weight = new Parameter(empty(entries, dimension, dtype: type, device: device));
        register_parameter("weight", weight);
        Weight = new ParameterSource(weight);
        ComputeType = type;
    }

    /// <summary>Where the table comes from; a parallelism puts its own here.</summary>
    public IWeightSource Weight { get; set; }

    /// <summary>Dtype of the vectors, and so of the computation that follows.</summary>
    public ScalarType ComputeType { get; set; }

    /// <summary>How ids [n] are looked up in the table that this rank holds, giving [n, D]; null for every id's row.</summary>
    public Func<Tensor, Tensor, Tensor>? Lookup { get; set; }

    /// <inheritdoc />
    public Func<Tensor, Tensor>? BeforeForward { get; set; }

    /// <inheritdoc />
    public Func<Tensor, Tensor>? AfterForward { get; set; }

    /// <inheritdoc />
    /// <param name="ids">[..., ] int64, each in [0, V).</param>
    /// <returns>[..., D] in <see cref="ComputeType"/>.</returns>
    public override Tensor forward(Tensor ids)
    {
        // Look up first and cast the few rows, instead of casting the table; what travels between ranks travels in the compute dtype.
        using var scope = NewDisposeScope();
        if (BeforeForward is { } before) ids = before(ids);
        var table = GatherFunction.Weight(Weight, Weight is ParameterSource ? Weight.Parameter.dtype : ComputeType);
        var flat = ids.reshape(-1);
        var rows = Lookup is { } lookup ? lookup(table, flat) : table.index_select(0, flat);
        var vectors = rows.reshape([.. ids.shape, rows.shape[1]]).to(ComputeType);
        return (AfterForward is { } after ? after(vectors) : vectors).MoveToOuterDisposeScope();
    }
}
