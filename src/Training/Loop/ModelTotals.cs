using Titan.Abstractions;

namespace Titan.Training.Loop;

/// <summary>How many numbers a model has, whatever part of them this rank holds.</summary>
public static class ModelTotals
{
    /// <summary>Elements of all parameters, and of those that are trained.</summary>
    public static (long All, long Trained) Of(IReadOnlyList<ModelParameter> parameters) => (Sum(parameters), Sum(parameters.Where(p => p.Parameter.requires_grad)));

    private static long Sum(IEnumerable<ModelParameter> parameters) => parameters.Sum(p => p.Layout.GlobalShape.Aggregate(1L, (a, b) => a * b));
}
