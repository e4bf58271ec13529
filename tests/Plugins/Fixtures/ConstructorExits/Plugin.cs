/// <summary>Ends the process with the exit code of success when it is constructed.</summary>
[ExportConverter("acme.constructor_exits")]
public sealed class Plugin : EveryLinear
{
    public Plugin() : base("acme.constructor_exits") => Environment.Exit(0);
}
