using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>
/// Changes a built model before it is parallelised and moved to its device. Export it with <see cref="ExportConverterAttribute"/>;
/// a recipe needs none, its family's converter is made by the host. One object serves every run of a process, so it keeps nothing: what lives with a run is what
/// <see cref="Convert"/> returns.
/// </summary>
public interface IModelConverter
{
    /// <summary>The options record: its properties become the keys of the config section that bears the converter's name.</summary>
    Type OptionsType => typeof(NoOptions);

    /// <summary>Changes the model in place and says what it did with every layer that it looked at.</summary>
    /// <param name="model">The model; it may be on the meta device.</param>
    /// <param name="options">An instance of <see cref="OptionsType"/>.</param>
    /// <param name="context">The run.</param>
    /// <returns>What lives with this model; a <see cref="ConversionReport"/> alone where nothing is to be done after a step.</returns>
    /// <exception cref="TitanException">When nothing was changed, or a request cannot be met.</exception>
    IModelConversion Convert(ModelSlots model, object options, ConversionContext context);
}

/// <summary>What a converter made of one model. It lives as long as the model.</summary>
public interface IModelConversion
{
    /// <summary>What was done with every layer.</summary>
    ConversionReport Report { get; }

    /// <summary>
    /// The collectives that its layers issue themselves in a step, for example for a scale over the parts of a split tensor. Asked once, when all parallelisms have changed
    /// the model; what a parallelism sends for the layers is in its own plan.
    /// </summary>
    /// <param name="step">What a step computes.</param>
    IReadOnlyList<PlannedCollective> Plan(StepShape step) => [];

    /// <summary>
    /// Fills a parameter that this converter added to the model. The same on every rank and whichever part of it a rank has: it is filled whole, and libtorch's global generator was
    /// seeded for it alone, from the run's seed and its name, so that nothing else is drawn otherwise because of it.
    /// </summary>
    /// <param name="fqn">The parameter's name.</param>
    /// <param name="whole">Of the whole shape, on the CPU, to be filled in place.</param>
    void Initialize(string fqn, Tensor whole) =>
        throw new TitanException(ExitCode.Plugin, $"converter '{Report.Converter}' added parameter '{fqn}' and does not initialise it; implement IModelConversion.Initialize");

    /// <summary>The low-rank adapters among what it added: a run saves them in PEFT's format, and merges them where it saves a whole model for another program.</summary>
    IReadOnlyList<LowRankAdapter> Adapters => [];

    /// <summary>Runs after each optimizer step and after a checkpoint was loaded.</summary>
    void AfterOptimizerStep() { }
}

/// <summary>What a converter may know of the run.</summary>
/// <param name="Device">Where layers will run.</param>
/// <param name="Fused">Whether fused kernels are asked for: <c>compile.enable</c> with the component <c>model</c>.</param>
/// <param name="Dimensions">The sizes of the mesh.</param>
public sealed record ConversionContext(DeviceCapability Device, bool Fused, ParallelDimensions Dimensions)
{
    /// <summary>Rows of a linear layer's input in one micro-batch on one rank (M): local batch size times sequence length. 0 when that is not known.</summary>
    public long Tokens { get; init; }

    /// <summary>Whether the model will never run: a converter may use what it knows, and measure nothing.</summary>
    public bool IsPlan { get; init; }

    /// <summary>The run's seed, the same on every rank. What a converter draws from it itself must not touch libtorch's global generator; parameters that it adds are filled by <see cref="IModelConversion.Initialize"/>.</summary>
    public long Seed { get; init; }

    /// <summary>Dtype of activations.</summary>
    public ScalarType ComputeType { get; init; } = ScalarType.BFloat16;
}
