/// <summary>The test overwrites the body of Number with instructions that mean nothing.</summary>
[ExportConverter("acme.invalid_il")]
public sealed class Plugin() : EveryLinear("acme.invalid_il")
{
    protected override string Summary => Number().ToString();

    private static int Number() => 0x7EADBEEF;
}
