namespace Titan.Host.Configuration;

/// <summary>A section that exists because a plugin does, or keys that a plugin adds to a section of the host's.</summary>
/// <param name="Name">The converter's name, for example <c>quantize.linear.float8</c>.</param>
/// <param name="Parts">The options that it has.</param>
public sealed record PluginSection(string Name, IReadOnlyList<PluginSectionPart> Parts)
{
    /// <summary>The key that chooses a recipe, where a section has several.</summary>
    public const string RecipeKey = "recipe_name";

    /// <summary>What its owners are, for people; null where it does not matter to them.</summary>
    public string? OwnerKind { get; init; } = "recipe";

    /// <summary>The recipe whose options count where the job names none; null for none.</summary>
    public string? DefaultOwner { get; init; }
}

/// <summary>Some options of a section.</summary>
/// <param name="Owner">The recipe or the parallelism whose options these are, null for those of the section's converter.</param>
/// <param name="Options">The options.</param>
public sealed record PluginSectionPart(string? Owner, IReadOnlyList<PluginOption> Options);
