using System.Composition;
using Titan.Abstractions;

namespace Titan.Models;

/// <summary>Exports a model family under the name that <c>model.name</c> lists. The build writes the names of its flavors into the manifest.</summary>
[MetadataAttribute]
[AttributeUsage(AttributeTargets.Class)]
public sealed class ExportModelAttribute : ExportAttribute
{
    /// <summary>Exports the class, which must implement <see cref="IModelFamily"/>.</summary>
    /// <param name="name">Lower-case letters, digits and underscores.</param>
    public ExportModelAttribute(string name) : base(typeof(IModelFamily)) => Name = name;

    /// <summary>The family's name.</summary>
    public string Name { get; }

    /// <summary>How far the family can be relied on.</summary>
    public ExportStatus Status { get; set; }

    /// <summary>One line for help texts.</summary>
    public string Summary { get; set; } = "";
}

/// <summary>The metadata of an exported family, readable without constructing it.</summary>
public sealed class ModelMetadata
{
    /// <summary>The family's name.</summary>
    public string Name { get; set; } = "";

    /// <summary>How far the family can be relied on.</summary>
    public ExportStatus Status { get; set; }

    /// <summary>One line for help texts.</summary>
    public string Summary { get; set; } = "";
}
