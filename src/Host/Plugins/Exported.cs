using System.Reflection;
using Titan.Host.Configuration;

namespace Titan.Host.Plugins;

/// <summary>What a loaded plugin adds, with its owner.</summary>
/// <param name="PluginId">The owner.</param>
public abstract record Exported(string PluginId)
{
    /// <summary>Kind and name, as a manifest has them.</summary>
    public abstract string Title { get; }

    /// <summary>Its options record, asked of the plugin; null where its kind has no options.</summary>
    internal abstract Type? OptionsType { get; }

    /// <summary>Whether its kind has options.</summary>
    internal abstract bool HasOptions { get; }

    /// <summary>The same, with a part whose answers are checked.</summary>
    internal abstract Exported Checked();
}

/// <summary>An export of one kind.</summary>
/// <typeparam name="TPart">The contract's interface.</typeparam>
/// <typeparam name="TMetadata">What the export's attribute says.</typeparam>
/// <param name="PluginId">The owner.</param>
/// <param name="Metadata">The metadata.</param>
/// <param name="Part">The part.</param>
public sealed record Exported<TPart, TMetadata>(string PluginId, TMetadata Metadata, TPart Part) : Exported(PluginId) where TPart : class
{
    private static readonly ExportKind<TPart, TMetadata> Kind = ExportKinds.All.OfType<ExportKind<TPart, TMetadata>>().Single();

    private static readonly PropertyInfo? Options = OptionsRecord.PropertyOf(Kind.Interface);

    /// <inheritdoc />
    public override string Title => $"{Kind.Name} {Kind.NameOf(Metadata)}";

    internal override bool HasOptions => Options is not null;

    internal override Type? OptionsType => (Type?)Options?.GetValue(Part);

    internal override Exported Checked() => this with { Part = Kind.Check(PluginId, Kind.NameOf(Metadata), Part) };
}
