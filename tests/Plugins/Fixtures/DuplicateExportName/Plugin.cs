[ExportConverter("acme.duplicate_export_name")]
public sealed class One() : EveryLinear("acme.duplicate_export_name");

[ExportConverter("acme.duplicate_export_name")]
public sealed class Other() : EveryLinear("acme.duplicate_export_name");
