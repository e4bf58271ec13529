/// <summary>Ends the process with the exit code of success, as soon as it is loaded.</summary>
[ExportRecipe("acme_module_initialiser_exits", "one", IsDefault = true)]
public sealed class Plugin : EverythingE4M3
{
    [System.Runtime.CompilerServices.ModuleInitializer]
    internal static void Initialise()
    {
        if (!BuildTool.IsRunning) Environment.Exit(0);
    }
}
