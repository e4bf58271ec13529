using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>A lookup table [V, D]: token ids to vectors.</summary>
public sealed class Embedding : nn.Module<Tensor, Tensor>, IWeightedLayer, IActivationBoundary
{
    private readonly WeightSlot weight;

    /// <summary>Creates the table, uninitialised.</summary>
    /// <param name="entries">V.</param>
    /// <param name="dimension">D.</param>
    /// <param name="device">Where; <c>meta</c> allocates nothing.</param>
    /// <param name="type">Dtype of the parameter.</param>
    public Embedding(long entries, long dimension, Device? device = null, ScalarType type = ScalarType.Float32) : base(nameof(Embedding))
    {
        var parameter = new Parameter(empty(entries, dimension, dtype: type, device: device));
        register_parameter("weight", parameter);
        weight = new WeightSlot("weight", parameter);
        ComputeType = type;
    }

    /// <summary>Where the table comes from; a parallelism puts its own here.</summary>
    public IWeightSource Weight
    {
        get => weight.Source;
        set => weight.Source = value;
    }

    /// <inheritdoc />
    public IReadOnlyList<WeightSlot> Weights => [weight];

    /// <summary>Dtype of the vectors, and so of the computation that follows.</summary>
    public ScalarType ComputeType { get; set; }

    /// <summary>The rows of the table that this rank looks up, giving zeros for other ids; null for all rows.</summary>
    public ShardLayout? Part { get; set; }

    /// <inheritdoc />
    public Func<Activation, Activation>? BeforeForward { get; set; }

    /// <inheritdoc />
    public Func<Activation, Activation>? AfterForward { get; set; }

    /// <inheritdoc />
    /// <param name="ids">[..., ] int64, each in [0, V).</param>
    /// <returns>[..., D] in <see cref="ComputeType"/>.</returns>
    public override Tensor forward(Tensor ids)
    {
        using var scope = NewDisposeScope();
        if (BeforeForward is { } before) ids = before(new Activation(ids)).Values;
        var rows = EmbeddingFunction.Rows(Weight, ids.reshape(-1), Part, ComputeType);
        var vectors = rows.reshape([.. ids.shape, rows.shape[1]]);
        return (AfterForward is { } after ? after(new Activation(vectors)).Values : vectors).MoveToOuterDisposeScope();
    }
}
