/// <summary>Puts writers that throw in the place of standard output and error.</summary>
[ExportConverter("acme.console_throws")]
public sealed class Plugin : EveryLinear
{
    public Plugin() : base("acme.console_throws")
    {
        Console.SetOut(new Throwing());
        Console.SetError(new Throwing());
    }

    private sealed class Throwing : TextWriter
    {
        public override System.Text.Encoding Encoding => System.Text.Encoding.UTF8;

        public override void Write(char value) => throw new InvalidOperationException("thrown by a writer");
    }
}
