[ExportRecipe("acme_dependency_missing_in_base_type", "one", IsDefault = true)]
public sealed class Plugin : EverythingE4M3;

public sealed class Derived : Acme.Dependency.Forgotten;
