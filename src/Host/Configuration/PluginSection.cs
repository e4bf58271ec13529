namespace Titan.Host.Configuration;

/// <summary>A section that exists because a plugin does.</summary>
/// <param name="Name">For example <c>quantize.linear.float8</c>.</param>
/// <param name="Parts">The option records whose keys it has.</param>
public sealed record PluginSection(string Name, IReadOnlyList<PluginSectionPart> Parts);

/// <summary>One option record of a section.</summary>
/// <param name="Owner">The recipe whose options these are, null for those of the section's converter.</param>
/// <param name="Type">The options record.</param>
public sealed record PluginSectionPart(string? Owner, Type Type);
