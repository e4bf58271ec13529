[ExportRecipe("acme_newer_contract", "one", IsDefault = true)]
public sealed class Plugin : EverythingE4M3;
