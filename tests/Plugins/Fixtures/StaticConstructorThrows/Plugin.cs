[ExportRecipe("acme_static_constructor_throws", "one", IsDefault = true)]
public sealed class Plugin : EverythingE4M3
{
    static Plugin()
    {
        if (!BuildTool.IsRunning) throw new InvalidOperationException("thrown by the static constructor");
    }
}
