[ExportConverter("acme.export_missing_at_run_time")]
public sealed class Present() : EveryLinear("acme.export_missing_at_run_time");

/// <summary>Nobody can construct an abstract class, whatever its attribute says.</summary>
[ExportConverter("acme.abstract")]
public abstract class Absent() : EveryLinear("acme.abstract");
