using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>What multiplies the rows of experts by their weights: high precision, or a recipe that a converter put there.</summary>
public interface IGroupedMatmul
{
    /// <summary>For reports: <c>high precision</c>, or the recipe with its casts.</summary>
    string Name { get; }

    /// <summary>Groups of rows must begin at multiples of this; whoever sorts the rows fills the groups up with rows of zeros. 1 for no rule.</summary>
    int RowMultiple => 1;

    /// <summary>N and K of the matrices must be multiples of this, also where ranks share each matrix. 1 for no rule.</summary>
    int RequiredMultiple => 1;

    /// <summary>How rows travel to the ranks that hold their experts, as the casts that would be made of them there; null for the compute dtype.</summary>
    IActivationCodec? RowCodec => null;

    /// <summary>The same for the gradients of results, which travel to the experts in backward.</summary>
    IActivationCodec? GradientCodec => null;

    /// <summary>Each group's rows by its own matrix, X · W[e]ᵀ; differentiable. The gradient of the weight [E, N, K] goes to its source (<see cref="WeightGradient"/>); an expert without rows has gradient 0.</summary>
    /// <param name="rows">[M, K], sorted by group.</param>
    /// <param name="groups">Divides M; as many groups as the weight has matrices here.</param>
    /// <param name="weight">[E, N, K]; asked for in forward and again in backward.</param>
    /// <returns>[M, N] of the rows' dtype; rows of no group are 0.</returns>
    Tensor Multiply(Activation rows, RowGroups groups, IWeightSource weight);
}

/// <summary>A layer of grouped matmuls: the experts of a mixture.</summary>
public interface IGroupedLayer : IWeightedLayer
{
    /// <summary>The weights [E, N, K] that multiply; a bias [E, N] is not among them.</summary>
    IEnumerable<WeightSlot> Matrices => Weights.Where(w => w.Source.Layout.GlobalShape.Count == 3);

    /// <summary>What multiplies; a converter replaces it.</summary>
    IGroupedMatmul Matmul { get; set; }
}
