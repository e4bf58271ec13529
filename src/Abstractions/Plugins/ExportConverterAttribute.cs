using System.Composition;

namespace Titan.Abstractions;

/// <summary>Exports a model converter under the name that <c>model.converters</c> lists and that its config section bears.</summary>
[MetadataAttribute]
[AttributeUsage(AttributeTargets.Class)]
public sealed class ExportConverterAttribute : ExportAttribute
{
    /// <summary>Exports the class, which must implement <see cref="IModelConverter"/>.</summary>
    /// <param name="name">Dotted lower-case name. Names that start with <c>quantize.</c> belong to recipe families.</param>
    public ExportConverterAttribute(string name) : base(typeof(IModelConverter)) => Name = name;

    /// <summary>The converter's name.</summary>
    public string Name { get; }

    /// <summary>How far the converter can be relied on.</summary>
    public ExportStatus Status { get; set; }

    /// <summary>One line for help texts.</summary>
    public string Summary { get; set; } = "";
}

/// <summary>The metadata of an exported converter, readable without constructing it.</summary>
public sealed class ConverterMetadata
{
    /// <summary>The converter's name.</summary>
    public string Name { get; set; } = "";

    /// <summary>How far the converter can be relied on.</summary>
    public ExportStatus Status { get; set; }

    /// <summary>One line for help texts.</summary>
    public string Summary { get; set; } = "";
}
