/// <summary>Trains, and throws when the process ends.</summary>
[ExportConverter("acme.exit_handler_throws")]
public sealed class Plugin : EveryLinear
{
    public Plugin() : base("acme.exit_handler_throws") => AppDomain.CurrentDomain.ProcessExit += (_, _) => throw new InvalidOperationException("thrown by an exit handler");
}
