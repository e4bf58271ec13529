using Titan.Abstractions;
using Titan.Models;
using static TorchSharp.torch;

namespace Titan.Training.Loop;

/// <summary>A model, and what it is given beside the tokens.</summary>
/// <param name="model">The model.</param>
/// <param name="endOfDocument">The token that ends a document; null where the tokenizer has none.</param>
internal sealed class ModelInputs(LanguageModel model, long? endOfDocument)
{
    /// <summary>Runs the model.</summary>
    /// <param name="tokens">[B, S] int64.</param>
    /// <returns>Logits [B, S, V].</returns>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when the model reads documents and the tokenizer ends none.</exception>
    public Tensor Forward(Tensor tokens) => model.call(new ModelInput(tokens, Documents: model.ReadsDocuments ? DocumentsOf(tokens) : null));

    /// <summary>[B, S] int64: a document ends with its end token.</summary>
    private Tensor DocumentsOf(Tensor tokens)
    {
        if (endOfDocument is not { } end)
            throw new TitanException(ExitCode.Data, "this flavor's attention stops at document borders, but the tokenizer has no end-of-document token; use the plain flavor");
        var ended = tokens.eq(end).to(ScalarType.Int64);
        return ended.cumsum(1) - ended;
    }
}
