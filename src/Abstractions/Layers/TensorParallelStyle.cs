namespace Titan.Abstractions;

/// <summary>How the weight of a layer is split over the ranks of a tensor parallel group.</summary>
public enum TensorParallelStyle
{
    /// <summary>The rows of W [N, K]: each rank computes a part of the output features.</summary>
    Colwise,

    /// <summary>The columns of W [N, K]: each rank reads a part of the input features, and the outputs are partial sums.</summary>
    Rowwise,

    /// <summary>Not at all; the layer works on a part of the sequence, of the heads or of a sum, and its gradient is the sum over the ranks.</summary>
    SequenceParallel,

    /// <summary>The rows of a table [V, D]: each rank looks up its part of the vocabulary.</summary>
    VocabularyParallel,
}
