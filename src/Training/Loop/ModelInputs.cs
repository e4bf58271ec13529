using Titan.Abstractions;
using Titan.Models;
using Titan.Training.Data;
using Titan.Training.Models;
using static TorchSharp.torch;

namespace Titan.Training.Loop;

/// <summary>A model, and what it is given beside the tokens.</summary>
/// <param name="model">The model.</param>
/// <param name="endOfDocument">The token that ends a document; null where the tokenizer has none.</param>
/// <param name="parts">The ranks that each hold a part of the logits.</param>
internal sealed class ModelInputs(LanguageModel model, long? endOfDocument, int parts = 1)
{
    private readonly IReadOnlyList<IAuxiliaryLoss> auxiliary = ModulesWith.Interface<IAuxiliaryLoss>(model);

    /// <summary>Runs the model.</summary>
    /// <param name="batch">This rank's share of a micro-batch.</param>
    /// <returns>Logits [B, S, V].</returns>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when the model reads documents and the tokenizer ends none; with <see cref="ExitCode.Usage"/> when ranks share its sequences.</exception>
    public Tensor Forward(ModelBatch batch) => Checked(batch.Tokens, Call(batch));

    /// <summary>The loss with the terms that modules add to it, each weighed by the tokens of this forward as the loss is.</summary>
    /// <param name="loss">0-d.</param>
    /// <param name="batch">What the forward read.</param>
    /// <param name="count">The tokens of all forwards that are added up.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Plugin"/> for a term that cannot count.</exception>
    public Tensor WithAuxiliary(Tensor loss, ModelBatch batch, long count)
    {
        var total = loss;
        foreach (var module in auxiliary)
        {
            if (module.TakeAuxiliaryLoss() is not { } term) continue;
            var fault = term.IsInvalid ? "is disposed" : term.numel() != 1 ? $"is [{string.Join(", ", term.shape)}]; expected one number"
                : !term.requires_grad ? "has no gradient; if its block is computed again in backward (activation_checkpoint), make it outside of the block" : null;
            if (fault is not null)
                throw new TitanException(ExitCode.Plugin, $"model {model.GetName()}: the auxiliary loss of {((nn.Module)module).GetName()} {fault}") { Data = { [ModuleSlot.FailedType] = module.GetType() } };
            total += term.reshape([]).to(ScalarType.Float32) * (batch.Labels.ne(Batch.Ignored).sum().item<long>() / (double)count);
        }

        return total;
    }

    /// <summary>Takes the terms of a forward that nobody trains on.</summary>
    public void DropAuxiliary()
    {
        foreach (var module in auxiliary) module.TakeAuxiliaryLoss()?.Dispose();
    }

    private Tensor Call(ModelBatch batch)
    {
        if (!model.ReadsDocuments) return model.call(new ModelInput(batch.Tokens, batch.Positions));
        // A rank that sees a part of a sequence does not see where its documents end.
        if (batch.Positions is not null)
            throw new TitanException(ExitCode.Usage, $"this flavor's attention stops at document borders, which a parallelism that splits sequences does not serve; use the plain flavor, or set {MeshAxis.ContextParallel.DegreeKey()} to 1");
        return model.call(new ModelInput(batch.Tokens, Documents: batch.Documents ?? DocumentsOf(batch.Tokens)));
    }

    /// <summary>The loss reads logits without looking: what does not fit would end the process there.</summary>
    private Tensor Checked(Tensor tokens, Tensor? logits)
    {
        var vocabulary = model.Counts.Vocabulary / parts;
        var fault = logits is null ? "null"
            : logits.IsInvalid ? "a tensor that is disposed; move it out of its dispose scope"
            : !logits.shape.AsSpan().SequenceEqual([.. tokens.shape, vocabulary]) ? $"logits [{string.Join(", ", logits.shape)}]"
            : !logits.is_floating_point() ? $"logits of {logits.dtype}" : null;
        return fault is null ? logits! : throw new TitanException(ExitCode.Plugin, $"model {model.GetName()}: forward returned {fault}; expected logits [{string.Join(", ", tokens.shape)}, {vocabulary}]; report it to the family's author")
        {
            Data = { [ModuleSlot.FailedType] = model.GetType() },
        };
    }

    /// <summary>[B, S] int64: a document ends with its end token.</summary>
    private Tensor DocumentsOf(Tensor tokens)
    {
        if (endOfDocument is not { } end)
            throw new TitanException(ExitCode.Data, "this flavor's attention stops at document borders, but the tokenizer has no end-of-document token; use the plain flavor");
        var ended = tokens.eq(end).to(ScalarType.Int64);
        return ended.cumsum(1) - ended;
    }
}
