/// <summary>Shows whether any of its code ran: its first code writes a file.</summary>
[ExportRecipe("acme_module_initialiser_writes", "one", IsDefault = true)]
public sealed class Plugin : EverythingE4M3
{
    [System.Runtime.CompilerServices.ModuleInitializer]
    internal static void Initialise()
    {
        if (Environment.GetEnvironmentVariable("TITAN_FIXTURE_WRITES") is { } file) File.WriteAllText(file, "code of the plugin ran");
    }
}
