[ExportRecipe("acme_constructor_throws", "one", IsDefault = true)]
public sealed class Plugin : EverythingE4M3
{
    public Plugin() => throw new InvalidOperationException("thrown by the constructor");
}
