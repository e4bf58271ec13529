[ExportRecipe("acme_static_constructor_hangs", "one", IsDefault = true)]
public sealed class Plugin : EverythingE4M3
{
    static Plugin() => Thread.Sleep(Timeout.Infinite);
}
