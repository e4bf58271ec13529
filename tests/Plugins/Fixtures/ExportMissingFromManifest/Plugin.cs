using System.Composition;

[ExportConverter("acme.export_missing_from_manifest")]
public sealed class Listed() : EveryLinear("acme.export_missing_from_manifest");

/// <summary>Exported past the contract's attributes, so that no manifest lists it.</summary>
[Export(typeof(IModelConverter))]
[ExportMetadata("Name", "acme.hidden")]
[ExportMetadata("Status", ExportStatus.Stable)]
[ExportMetadata("Summary", "")]
public sealed class Hidden() : EveryLinear("acme.hidden");
