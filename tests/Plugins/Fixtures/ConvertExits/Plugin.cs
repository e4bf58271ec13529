/// <summary>Ends the process with the exit code of success in the middle of a job.</summary>
[ExportConverter("acme.convert_exits")]
public sealed class Plugin() : EveryLinear("acme.convert_exits")
{
    protected override void Before(int index)
    {
        if (index == 2) Environment.Exit(0);
    }
}
