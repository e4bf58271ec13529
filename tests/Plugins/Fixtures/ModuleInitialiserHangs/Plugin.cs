[ExportRecipe("acme_module_initialiser_hangs", "one", IsDefault = true)]
public sealed class Plugin : EverythingE4M3
{
    [System.Runtime.CompilerServices.ModuleInitializer]
    internal static void Initialise()
    {
        if (!BuildTool.IsRunning) Thread.Sleep(Timeout.Infinite);
    }
}
