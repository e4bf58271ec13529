namespace Titan.Abstractions;

/// <summary>How far an export can be relied on; shown by <c>plugin list</c> and the conversion report.</summary>
public enum ExportStatus
{
    /// <summary>Numbers and options stay as they are within a major version.</summary>
    Stable,

    /// <summary>Works; options may change.</summary>
    Alpha,

    /// <summary>May change or go.</summary>
    Prototype,
}
