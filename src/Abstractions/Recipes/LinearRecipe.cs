namespace Titan.Abstractions;

/// <summary>
/// The three matmuls of a linear layer with input X[M,K], weight W[N,K] and upstream gradient G[M,N]. This is all that a recipe is: which kernel runs,
/// which layout it wants, what travels between ranks and what is reported are derived from it.
/// </summary>
/// <param name="Output">X · Wᵀ, contracts K.</param>
/// <param name="GradInput">G · W, contracts N.</param>
/// <param name="GradWeight">Gᵀ · X, contracts M.</param>
public sealed record LinearRecipe(MatmulRecipe Output, MatmulRecipe GradInput, MatmulRecipe GradWeight)
{
    /// <summary>K and N must be multiples of this: the block length where a cast has blocks or tiles, else the 16 that float8 matmuls need.</summary>
    public int RequiredMultiple => Casts().Select(c => (c as OperandCast.Scaled)?.Granularity switch
    {
        ScaleGranularity.Block block => block.Length,
        ScaleGranularity.Tile tile => Math.Max(tile.Rows, tile.Columns),
        _ => 16,
    }).Max();

    /// <summary>
    /// Throws when the matmuls contradict each other: one operand cast and the other not, or one tensor cast to different formats by the two matmuls that it feeds.
    /// </summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Plugin"/>, naming the matmul or the tensor.</exception>
    public void Validate(string name)
    {
        foreach (var (matmul, which) in new[] { (Output, "output"), (GradInput, "grad_input"), (GradWeight, "grad_weight") })
        {
            if (matmul.Left is OperandCast.HighPrecision != matmul.Right is OperandCast.HighPrecision)
                throw new TitanException(ExitCode.Plugin,
                    $"recipe '{name}': incompatible operand precision for {which}: {matmul.Left} · {matmul.Right}; cast both operands or neither");
        }

        SameFormat("input", Output.Left, GradWeight.Right);
        SameFormat("weight", Output.Right, GradInput.Right);
        SameFormat("grad_output", GradInput.Left, GradWeight.Left);

        void SameFormat(string tensor, OperandCast one, OperandCast other)
        {
            if (one is OperandCast.Scaled a && other is OperandCast.Scaled b && a.Format != b.Format)
                throw new TitanException(ExitCode.Plugin,
                    $"recipe '{name}': {tensor} must be cast to the same dtype in both matmuls it is used in, got {a.Format} and {b.Format}");
        }
    }

    /// <summary>
    /// Throws unless the recipe can serve experts: rows come and go from expert to expert and from rank to rank, so a cast may not know more of them than a row, or a block of rows of one expert.
    /// </summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/>, naming the cast that is not local.</exception>
    public void ValidateForExperts(string name)
    {
        string[] operands = ["output's left operand (input)", "output's right operand (weight)", "grad_input's left operand (grad_output)", "grad_input's right operand (weight)", "grad_weight's left operand (grad_output)", "grad_weight's right operand (input)"];
        foreach (var (cast, operand) in Casts().Zip(operands))
        {
            var fault = cast switch
            {
                OperandCast.Custom => "is cast by code, which sees a whole matrix",
                OperandCast.Scaled { Granularity: ScaleGranularity.Tensorwise } => "has one scale for the rows of all experts",
                _ => null,
            };
            if (fault is not null)
                throw new TitanException(ExitCode.Usage, $"recipe '{name}' cannot serve experts: {operand}, {cast}, {fault}; use a recipe whose casts are local to rows or blocks");
        }
    }

    /// <summary>The six casts, in the order output, grad_input, grad_weight, left before right.</summary>
    public IEnumerable<OperandCast> Casts() =>
        [Output.Left, Output.Right, GradInput.Left, GradInput.Right, GradWeight.Left, GradWeight.Right];

    /// <summary>The casts in torchao's short form: <c>i:dyn_ten_e4m3,w:dyn_ten_e4m3,go:dyn_ten_e5m2</c>, more where the second use of a tensor differs.</summary>
    public override string ToString()
    {
        var text = $"i:{Output.Left},w:{Output.Right},go:{GradInput.Left}";
        if (GradWeight.Right != Output.Left) text += $",i_gw:{GradWeight.Right}";
        if (GradInput.Right != Output.Right) text += $",w_gi:{GradInput.Right}";
        if (GradWeight.Left != GradInput.Left) text += $",go_gw:{GradWeight.Left}";
        return text;
    }
}
