/// <summary>A recipe that says of itself that it is a prototype.</summary>
[ExportRecipe("acme_prototype", "one", IsDefault = true, Status = ExportStatus.Prototype)]
public sealed class Plugin : EverythingE4M3;
