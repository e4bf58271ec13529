/// <summary>Fails at its third layer.</summary>
[ExportConverter("acme.convert_throws")]
public sealed class Plugin() : EveryLinear("acme.convert_throws")
{
    protected override void Before(int index)
    {
        if (index == 2) throw new InvalidOperationException("thrown by Convert");
    }
}
