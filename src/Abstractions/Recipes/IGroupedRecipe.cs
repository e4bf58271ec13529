namespace Titan.Abstractions;

/// <summary>
/// A recipe for the grouped matmuls of experts, as data like any other (<see cref="LinearRecipe"/>), M being the rows of one expert: what is cast per column of X and G is cast per expert. Its casts must be
/// local to rows or blocks (<see cref="LinearRecipe.ValidateForExperts"/>). Export it with <see cref="ExportGroupedRecipeAttribute"/>. What a recipe says of filters and small layers counts for linear layers alone.
/// </summary>
public interface IGroupedRecipe : IQuantizationRecipe;

/// <summary>Base of a recipe for experts.</summary>
/// <typeparam name="TOptions">As in <see cref="QuantizationRecipe{TOptions}"/>.</typeparam>
public abstract class GroupedRecipe<TOptions> : QuantizationRecipe<TOptions>, IGroupedRecipe where TOptions : class, new();
