using Titan.Abstractions;
using Titan.Models;
using static TorchSharp.torch;

namespace Titan.Training.Adapters;

/// <summary>An adapter as PEFT knows it: by the name of the module in Hugging Face's model, with B's rows in the order of that module's.</summary>
/// <param name="Adapter">The adapter.</param>
/// <param name="Name">The module's name there, for example <c>model.layers.0.self_attn.q_proj</c>.</param>
/// <param name="Pieces">Where the rows of W are there.</param>
internal sealed record PeftModule(LowRankAdapter Adapter, string Name, IReadOnlyList<TensorPiece> Pieces)
{
    private const string Suffix = ".weight";

    /// <summary>Finds the module of an adapter.</summary>
    /// <param name="adapter">The adapter.</param>
    /// <param name="shape">The shape of W, [N, K].</param>
    /// <param name="names">The names in the other layout.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/> when W is not one matrix [N, K] there.</exception>
    public static PeftModule Of(LowRankAdapter adapter, IReadOnlyList<long> shape, IStateDictAdapter names)
    {
        var pieces = names.PiecesOf(adapter.Weight, ShardLayout.Whole(shape));
        var foreign = pieces[0].Foreign;
        // Whole rows, of one matrix of this shape.
        var fits = foreign.EndsWith(Suffix, StringComparison.Ordinal) && names.Foreign[foreign].SequenceEqual(shape)
            && pieces.All(p => p.Foreign == foreign && !p.IsTransposed && p.Offset[1] == 0 && p.Shape[1] == shape[1] && p.Start[1] == 0);
        return fits ? new PeftModule(adapter, foreign[..^Suffix.Length], pieces)
            : throw new TitanException(ExitCode.Usage, $"'{adapter.Weight}' is not a matrix of its own in Hugging Face's layout ('{foreign}')");
    }

    /// <summary>B as the module has it.</summary>
    /// <param name="b">B [N, rank] with our rows.</param>
    public Tensor RowsOf(Tensor b)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        var rows = empty_like(b);
        foreach (var piece in Pieces) rows.narrow(0, piece.Offset[0], piece.Shape[0]).copy_((piece with { Shape = [piece.Shape[0], b.shape[1]] }).TakeFrom(b));
        return rows.MoveToOuterDisposeScope();
    }
}
