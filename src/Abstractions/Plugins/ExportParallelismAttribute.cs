using System.Composition;

namespace Titan.Abstractions;

/// <summary>Exports a parallelism for one dimension of the mesh.</summary>
[MetadataAttribute]
[AttributeUsage(AttributeTargets.Class)]
public sealed class ExportParallelismAttribute : ExportAttribute
{
    /// <summary>Exports the class, which must implement <see cref="IParallelism"/>.</summary>
    /// <param name="dimension">The mesh dimension that it serves.</param>
    public ExportParallelismAttribute(MeshDimension dimension) : base(typeof(IParallelism)) => Dimension = dimension;

    /// <summary>The mesh dimension that it serves.</summary>
    public MeshDimension Dimension { get; }

    /// <summary>How far it can be relied on.</summary>
    public ExportStatus Status { get; set; }

    /// <summary>One line for help texts.</summary>
    public string Summary { get; set; } = "";
}

/// <summary>The metadata of an exported parallelism, readable without constructing it.</summary>
public sealed class ParallelismMetadata
{
    /// <summary>The mesh dimension that it serves.</summary>
    public MeshDimension Dimension { get; set; }

    /// <summary>How far it can be relied on.</summary>
    public ExportStatus Status { get; set; }

    /// <summary>One line for help texts.</summary>
    public string Summary { get; set; } = "";
}
