using static TorchSharp.torch;

namespace Titan.Training.Conversion;

/// <summary>What is to be converted.</summary>
/// <param name="From">A step folder of this program's, or a Hugging Face folder.</param>
/// <param name="To">The folder to make, of the other kind.</param>
/// <param name="Model">The model that it is of.</param>
internal sealed record ConversionRequest(string From, string To, WholeModel Model)
{
    /// <summary>The dtype of the weights; null for the one that they are stored in. Buffers keep theirs.</summary>
    public ScalarType? Type { get; init; }

    /// <summary>A folder with a tokenizer to copy; null for none.</summary>
    public string? Assets { get; init; }

    /// <summary>Hears what is done, and of how many bytes it consists.</summary>
    public Func<string, long, Action<long>> Progress { get; init; } = (_, _) => _ => { };

    /// <summary>Hears what the user should know.</summary>
    public Action<string> Note { get; init; } = _ => { };

    /// <summary>The dtype of a tensor that is stored as <paramref name="stored"/>.</summary>
    public ScalarType TypeOf(string fqn, ScalarType stored) => Type is { } type && !Model.Buffers.Any(b => b.Fqn == fqn) ? type : stored;
}
