using static TorchSharp.torch;

namespace Titan.Models;

/// <summary>A batch as a model reads it.</summary>
/// <param name="Tokens">[B, S] int64.</param>
/// <param name="Positions">[S] or [B, S] int64, the place of each token in its sequence; null for 0, 1, 2, ...</param>
/// <param name="Documents">[B, S] int64, equal for the tokens of one document; null where attention may look across documents.</param>
public sealed record ModelInput(Tensor Tokens, Tensor? Positions = null, Tensor? Documents = null)
{
    /// <summary>Tokens alone.</summary>
    public static implicit operator ModelInput(Tensor tokens) => new(tokens);
}
