namespace Titan.Abstractions;

/// <summary>A recipe as the host sees it. Derive from <see cref="QuantizationRecipe{TOptions}"/> and export it with <see cref="ExportRecipeAttribute"/>.</summary>
public interface IQuantizationRecipe
{
    /// <summary>The options record: its properties become keys of the family's config section.</summary>
    Type OptionsType { get; }

    /// <summary>What the hardware must offer.</summary>
    DeviceRequirement Requires { get; }

    /// <summary>Whether the matmuls are always emulated, as with <c>emulate = true</c>.</summary>
    bool Emulated { get; }

    /// <summary>The <c>filter_fqns</c> of a job that sets none; unlike the job's own entries they may match nothing.</summary>
    IReadOnlyList<string> DefaultFilterFqns { get; }

    /// <summary>The three matmuls.</summary>
    /// <param name="options">An instance of <see cref="OptionsType"/>.</param>
    LinearRecipe Describe(object options);

    /// <summary>The rule of <c>auto_filter_small_kn</c>: why the layer is too small to gain, or null when it gains. A recipe that returns null for a layer of 16 x 16 has no such rule.</summary>
    string? AutoSkip(LinearShape shape);

    /// <summary>What the options ask for that this run cannot give, for example a collective with one rank; printed in the report, never silent.</summary>
    IEnumerable<string> Notes(object options, ParallelDimensions dimensions);
}

/// <summary>Base of a recipe.</summary>
/// <typeparam name="TOptions">A record with a parameterless constructor; each property is a config key with its default. Use <see cref="NoOptions"/> for none.</typeparam>
public abstract class QuantizationRecipe<TOptions> : IQuantizationRecipe where TOptions : class, new()
{
    /// <inheritdoc />
    public Type OptionsType => typeof(TOptions);

    /// <inheritdoc />
    public virtual DeviceRequirement Requires => DeviceRequirement.Any;

    /// <inheritdoc />
    public virtual bool Emulated => false;

    /// <inheritdoc />
    public virtual IReadOnlyList<string> DefaultFilterFqns => [];

    /// <summary>The three matmuls.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/> when an option has a value that the recipe does not know.</exception>
    public abstract LinearRecipe Describe(TOptions options);

    /// <inheritdoc />
    public virtual string? AutoSkip(LinearShape shape) => null;

    /// <summary>What the options ask for that this run cannot give.</summary>
    public virtual IEnumerable<string> Notes(TOptions options, ParallelDimensions dimensions) => [];

    LinearRecipe IQuantizationRecipe.Describe(object options) => Describe((TOptions)options);

    IEnumerable<string> IQuantizationRecipe.Notes(object options, ParallelDimensions dimensions) => Notes((TOptions)options, dimensions);
}

/// <summary>A recipe or converter that has no options of its own.</summary>
public sealed record NoOptions;
