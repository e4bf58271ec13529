[ExportRecipe("acme_static_constructor_hangs", "one", IsDefault = true)]
public sealed class Plugin : EverythingE4M3
{
    static Plugin()
    {
        if (!BuildTool.IsRunning) Thread.Sleep(Timeout.Infinite);
    }
}
