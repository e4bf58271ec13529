using System.Composition;

namespace Titan.Abstractions;

/// <summary>Exports a parallelism for one axis of the mesh.</summary>
[MetadataAttribute]
[AttributeUsage(AttributeTargets.Class)]
public sealed class ExportParallelismAttribute : ExportAttribute
{
    /// <summary>Exports the class, which must implement <see cref="IParallelism"/>.</summary>
    /// <param name="axis">The axis of the mesh that it serves.</param>
    public ExportParallelismAttribute(MeshAxis axis) : base(typeof(IParallelism)) => Axis = axis;

    /// <summary>The axis of the mesh that it serves.</summary>
    public MeshAxis Axis { get; }

    /// <summary>How far it can be relied on.</summary>
    public ExportStatus Status { get; set; }

    /// <summary>One line for help texts.</summary>
    public string Summary { get; set; } = "";
}

/// <summary>The metadata of an exported parallelism, readable without constructing it.</summary>
public sealed class ParallelismMetadata
{
    /// <summary>The axis of the mesh that it serves.</summary>
    public MeshAxis Axis { get; set; }

    /// <summary>How far it can be relied on.</summary>
    public ExportStatus Status { get; set; }

    /// <summary>One line for help texts.</summary>
    public string Summary { get; set; } = "";
}
